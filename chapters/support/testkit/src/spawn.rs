//! From fork to exec: what a program inherits and what not, and that it is killed
//! when this process dies.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Mutex;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{SigHandler, Signal, signal};
use nix::unistd::{getpid, getppid};

use crate::lock::lock;

/// Held while a program is started, and while a listener is open whose port must be
/// free once it is closed.
///
/// From fork to exec a child holds a copy of every descriptor of this process, of
/// all its threads: a port that another test has just closed is then still taken.
pub(crate) static FORKING: Mutex<()> = Mutex::new(());

/// Starts a program, and calls `register` with it before another program is
/// started. The child gets the descriptors `inherited`, under the numbers that they
/// have here.
pub(crate) fn spawn<T>(
    command: &mut Command,
    inherited: Vec<OwnedFd>,
    register: impl FnOnce(&mut Child) -> T,
) -> io::Result<(Child, T)> {
    prepare(command, inherited);
    let _no_other_fork = lock(&FORKING);
    // Returns after exec: std waits for that, to tell whether it succeeds.
    let mut child = command.spawn()?;
    let registered = register(&mut child);
    Ok((child, registered))
}

/// Has the child killed when this process dies, and has it inherit `inherited` and
/// no other descriptor, and no ignored signal.
fn prepare(command: &mut Command, inherited: Vec<OwnedFd>) {
    let parent = getpid();
    let in_child = move || {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?;
        // If the parent died before that call, the signal never arrives.
        if getppid() != parent {
            return Err(io::Error::from_raw_os_error(nix::libc::ESRCH));
        }
        reset_signals()?;
        close_on_exec();
        // Here, not in the parent: a sibling that is started at the same time would
        // inherit them too.
        for fd in &inherited {
            fcntl(fd, FcntlArg::F_SETFD(FdFlag::empty()))?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed
    // (signal-safety(7)). prctl, getppid, sigaction, close_range and
    // fcntl are plain system calls; nothing here allocates, locks or drops.
    unsafe { command.pre_exec(in_child) };
}

/// Sets to their defaults the signals that a shell or `nohup` may have ignored for
/// this process: a signal that is ignored stays so across exec (execve(2)), and a
/// program under test would then not end at it. (std unblocks all signals.)
fn reset_signals() -> io::Result<()> {
    let often_ignored = [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGTERM,
        Signal::SIGCHLD,
    ];
    for number in often_ignored {
        // SAFETY: the default action runs no code of ours.
        unsafe { signal(number, SigHandler::SigDfl) }?;
    }
    Ok(())
}

/// Marks every descriptor but the first three as close-on-exec. std does so for
/// those that this process opens; those that it inherited, from a terminal or an
/// editor, would show up when a test counts a program's descriptors.
fn close_on_exec() {
    // SAFETY: close_range(2) takes numbers and, with this flag, closes nothing
    // before exec. A kernel older than 5.11 refuses the flag, and the descriptors
    // stay open.
    unsafe {
        use nix::libc::{CLOSE_RANGE_CLOEXEC, SYS_close_range, c_uint, syscall};
        syscall(SYS_close_range, 3 as c_uint, c_uint::MAX, CLOSE_RANGE_CLOEXEC);
    }
}
