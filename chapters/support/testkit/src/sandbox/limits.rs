//! What the kernel limits.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::{fs, io};

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::geteuid;

use super::filter::Filter;
use crate::lock::lock;
use crate::spawn::FORKING;

/// The processes that a program may have at once, itself included.
pub const MAX_PROCESSES: usize = 64;

/// What it may print, in bytes, on each of its two output streams.
pub const MAX_OUTPUT: usize = 1 << 20;

/// The user that a sandboxed program runs as if the tests run as root.
const UNPRIVILEGED: u32 = 65534;

/// The kernel's limit on processes is above [`MAX_PROCESSES`] by so many: so the
/// watchdog finds too many processes, and can say so in words.
const SLACK: usize = 16;

/// Address space of each of its processes, in bytes.
const MAX_MEMORY: u64 = 2 << 30;

/// The longest file that it may write, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// CPU time of each of its processes, in seconds.
const MAX_CPU: u64 = 20;

/// Open descriptors of each of its processes.
const MAX_DESCRIPTORS: u64 = 256;

/// What limits the number of processes in a sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProcessLimit {
    /// The kernel: fork fails with `EAGAIN` (`RLIMIT_NPROC`).
    Kernel,
    /// Only the watchdog, which looks 20 times a second: the program runs as root,
    /// because no other user has access to it.
    Watchdog,
}

impl ProcessLimit {
    /// What limits the number of processes of this program, in a sandbox.
    pub fn of(program: impl AsRef<OsStr>) -> ProcessLimit {
        match user_for(program.as_ref()) {
            None if geteuid().is_root() => ProcessLimit::Watchdog,
            _ => ProcessLimit::Kernel,
        }
    }
}

/// Has `command` run in a sandbox.
pub(crate) fn confine(command: &mut Command) {
    let user = user_for(command.get_program());
    impose(command, user);
}

/// The user to run `program` as: `None` for our own.
fn user_for(program: &OsStr) -> Option<u32> {
    let user = geteuid().is_root().then_some(UNPRIVILEGED)?;
    let in_path = !Path::new(program).is_absolute();
    (in_path || has_access(program, user)).then_some(user)
}

/// Whether `user` may run `program`. That user is asked, in a process of its own, once
/// for each program: the tests of an exercise start the same one again and again.
fn has_access(program: &OsStr, user: u32) -> bool {
    static KNOWN: Mutex<BTreeMap<OsString, bool>> = Mutex::new(BTreeMap::new());
    let ask = || {
        let mut probe = Command::new("test");
        probe.arg("-x").arg(program);
        impose(&mut probe, Some(user));
        let _no_other_fork = lock(&FORKING);
        probe.status().is_ok_and(|status| status.success())
    };
    *lock(&KNOWN).entry(program.to_owned()).or_insert_with(ask)
}

fn impose(command: &mut Command, user: Option<u32>) {
    // The kernel counts all threads of the user, those outside of the sandbox too.
    // If the program has to run as root, the kernel sets no limit at all.
    let others = threads_of(if geteuid().is_root() {
        UNPRIVILEGED
    } else {
        geteuid().as_raw()
    });
    let processes = (others + MAX_PROCESSES + SLACK) as u64;
    // std changes the user first, drops all further groups, and then calls the
    // closure.
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
    let filter = Filter::protecting(std::process::id() as i32);
    let in_child = move || {
        set_limits(processes)?;
        // No set-user-ID program gives it more rights; and seccomp(2) asks for it.
        nix::sys::prctl::set_no_new_privs()?;
        filter.install()
    };
    // SAFETY: between fork and exec it makes system calls and nothing else.
    unsafe { command.pre_exec(in_child) };
}

fn set_limits(processes: u64) -> io::Result<()> {
    for (resource, most) in [
        (Resource::RLIMIT_NPROC, processes),
        (Resource::RLIMIT_AS, MAX_MEMORY),
        (Resource::RLIMIT_FSIZE, MAX_FILE),
        (Resource::RLIMIT_CPU, MAX_CPU),
        (Resource::RLIMIT_NOFILE, MAX_DESCRIPTORS),
        (Resource::RLIMIT_CORE, 0),
    ] {
        setrlimit(resource, most, most)?;
    }
    Ok(())
}

/// How many threads this user has, in all processes together.
///
/// This is `/proc`'s own text: procfs parses all of it, for each process of the machine and
/// at each start of a program.
fn threads_of(user: libc::uid_t) -> usize {
    let Ok(processes) = fs::read_dir("/proc") else { return 0 };
    let statuses = processes
        .filter_map(|it| fs::read_to_string(it.ok()?.path().join("status")).ok());
    let field = |status: &str, name: &str| -> Option<u32> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    // The first of the four user ids is the real one (proc_pid_status(5)).
    let ours = statuses.filter(|it| field(it, "Uid:") == Some(user));
    ours.filter_map(|it| field(&it, "Threads:")).sum::<u32>() as usize
}
