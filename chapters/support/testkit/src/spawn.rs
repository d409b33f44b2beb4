//! From fork to exec: what a program inherits, and that it dies with us.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Mutex;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::{getpid, getppid};

use crate::cell::Confinement;
use crate::lock;

/// Held while a program is started, and while a listener is open that must be closed for good.
///
/// From fork to exec a child holds a copy of every descriptor that this process has, whatever
/// thread opened it. A port that another test has just let go of is then taken all the same.
pub(crate) static FORKING: Mutex<()> = Mutex::new(());

/// Starts it, and has it enrolled before anything else is started. The child gets `inherited` under
/// the numbers that they have here.
pub(crate) fn spawn<T>(
    command: &mut Command,
    inherited: Vec<OwnedFd>,
    enrol: impl FnOnce(&mut Child) -> T,
) -> io::Result<(Child, T)> {
    die_with_us(command, inherited);
    start(command, enrol)
}

/// As [`spawn`], in a cell.
pub(crate) fn spawn_confined<T>(
    command: &mut Command,
    inherited: Vec<OwnedFd>,
    enrol: impl FnOnce(&mut Child) -> T,
) -> io::Result<(Child, T)> {
    // First: a change of user clears the wish to die with us (prctl(2)).
    confinement_for(command.get_program()).impose(command);
    spawn(command, inherited, enrol)
}

/// The strictest under which this program can still be reached.
pub(crate) fn confinement_for(program: &OsStr) -> Confinement {
    let strict = Confinement::strict();
    let mut probe = Command::new("test");
    probe.arg("-x").arg(program);
    strict.impose(&mut probe);
    let by_path = !Path::new(program).is_absolute();
    let _alone = lock(&FORKING);
    let reached = by_path || probe.status().is_ok_and(|status| status.success());
    if reached { strict } else { strict.as_ourselves() }
}

fn start<T>(
    command: &mut Command,
    enrol: impl FnOnce(&mut Child) -> T,
) -> io::Result<(Child, T)> {
    let _alone = lock(&FORKING);
    // Returns after exec: std waits for that, to tell whether it succeeds.
    let mut child = command.spawn()?;
    let enrolled = enrol(&mut child);
    Ok((child, enrolled))
}

/// Has the child killed when we die, and lets it inherit what it was given and nothing else.
fn die_with_us(command: &mut Command, inherited: Vec<OwnedFd>) {
    let parent = getpid();
    let prepare = move || {
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGKILL)?;
        // We may have died before that call: then the signal never comes.
        if getppid() != parent {
            return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
        }
        keep_to_ourselves();
        // Here, not in the parent: there a sibling that is started now would inherit it too.
        for fd in &inherited {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. prctl, getppid,
    // close_range and fcntl are plain system calls; nothing here allocates, locks or drops.
    unsafe { command.pre_exec(prepare) };
}

/// Marks every descriptor but the first three as close-on-exec. Those that this process opened
/// are; those that it inherited from whoever runs the tests need not be, and a test that counts a
/// program's descriptors must not count those.
fn keep_to_ourselves() {
    #[cfg(target_os = "linux")]
    // SAFETY: close_range(2) takes numbers and, with this flag, closes nothing before exec. A
    // kernel older than 5.11 refuses, and all stays as it was.
    unsafe {
        use nix::libc::{CLOSE_RANGE_CLOEXEC, SYS_close_range, c_uint, syscall};
        syscall(SYS_close_range, 3 as c_uint, c_uint::MAX, CLOSE_RANGE_CLOEXEC);
    }
}
