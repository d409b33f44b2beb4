//! What the kernel limits.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::{fs, io};

use nix::libc;
use nix::sys::resource::{Resource, setrlimit};
use nix::unistd::geteuid;

use super::MAX_PROCESSES;
use super::filter::Filter;
use crate::spawn::confinement_for;

/// The user that a program in a cell runs as, if it is started by root: "nobody".
const NOBODY: u32 = 65534;

/// Processes more than a program may have, before the kernel refuses: so the warden sees that it has too
/// many, and can say so.
const SLACK: usize = 16;

/// Address space of a process, in bytes.
const MAX_MEMORY: u64 = 2 << 30;

/// The longest file that it may write, in bytes.
const MAX_FILE: u64 = 16 << 20;

/// Processor time of each of its processes, in seconds.
const MAX_CPU: u64 = 20;

/// Open descriptors of each of its processes.
const MAX_DESCRIPTORS: u64 = 256;

/// What bounds the number of processes in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// The kernel: fork fails with `EAGAIN` (`RLIMIT_NPROC`).
    Kernel,
    /// Only the warden, which looks again and again: this process is root, and the program has to
    /// be so too, because nobody else can reach it.
    Warden,
}

impl Bound {
    /// What bounds the number of processes of this program, in a cell.
    pub fn of(program: impl AsRef<OsStr>) -> Bound {
        let user = confinement_for(program.as_ref()).user;
        if user.is_none() && geteuid().is_root() {
            Bound::Warden
        } else {
            Bound::Kernel
        }
    }
}

/// How a program is confined between fork and exec.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Confinement {
    /// The user to become; `None` to stay who we are.
    user: Option<u32>,
    processes: u64,
}

impl Confinement {
    /// The strictest that is possible for us.
    pub fn strict() -> Confinement {
        let user = geteuid().is_root().then_some(NOBODY);
        // The kernel counts all threads of a user, those outside of the cell too.
        let others = threads_of(user.unwrap_or(geteuid().as_raw()));
        Confinement { user, processes: (others + MAX_PROCESSES + SLACK) as u64 }
    }

    /// As root: for a program that nobody else can reach.
    pub fn as_ourselves(self) -> Confinement {
        Confinement { user: None, ..self }
    }

    /// Has `command` run confined.
    pub fn impose(self, command: &mut Command) {
        // std changes the user first, without any further groups, and then comes the closure.
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        let filter = Filter::protecting(std::process::id() as i32);
        // SAFETY: between fork and exec, it makes system calls and nothing else.
        unsafe {
            command.pre_exec(move || self.limit().and_then(|()| filter.install()))
        };
    }

    fn limit(self) -> io::Result<()> {
        for (resource, most) in [
            (Resource::RLIMIT_NPROC, self.processes),
            (Resource::RLIMIT_AS, MAX_MEMORY),
            (Resource::RLIMIT_FSIZE, MAX_FILE),
            (Resource::RLIMIT_CPU, MAX_CPU),
            (Resource::RLIMIT_NOFILE, MAX_DESCRIPTORS),
            (Resource::RLIMIT_CORE, 0),
        ] {
            setrlimit(resource, most, most)?;
        }
        // No set-user-ID program gives it more than it has.
        nix::sys::prctl::set_no_new_privs()?;
        Ok(())
    }
}

/// How many threads this user has, all processes together.
fn threads_of(user: libc::uid_t) -> usize {
    let Ok(entries) = fs::read_dir("/proc") else { return 0 };
    let status =
        |entry: fs::DirEntry| fs::read_to_string(entry.path().join("status")).ok();
    let threads = |status: String| {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<usize>().ok()
        };
        (field("Uid:")? == user as usize).then(|| field("Threads:")).flatten()
    };
    entries.flatten().filter_map(status).filter_map(threads).sum()
}
