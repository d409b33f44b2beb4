//! Solution.

use std::ffi::CString;

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, execv, fork};

/// Runs all `commands` at the same time, each as `sh -c COMMAND` in a child of its
/// own, made with fork(2). Blocks until all children have exited. Returns their
/// exit codes, in the order of `commands`.
///
/// - A command that was killed by a signal counts as 128 and the signal's number,
///   as in a shell: 137 for signal 9.
/// - If execve(2) fails in a child, its code is 127. A child never returns from
///   this function, and exits with _exit(2): what is in a buffer of this process,
///   the child does not print.
pub fn run_all(commands: &[String]) -> Vec<i32> {
    // All children are started before the first is waited for, so they run at the
    // same time.
    let children: Vec<Pid> =
        commands.iter().map(|command| start(command)).collect();
    children.into_iter().map(exit_code).collect()
}

fn start(command: &str) -> Pid {
    // Before the fork, because the child should do as little as possible.
    let words =
        ["sh", "-c", command].map(|word| CString::new(word).expect("no NUL in it"));
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("a new process") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            // It returns only if it has failed.
            let _ = execv(c"/bin/sh", &words);
            // SAFETY: _exit ends the process at once.
            unsafe { libc::_exit(127) }
        }
    }
}

/// Blocks until this child has exited.
fn exit_code(child: Pid) -> i32 {
    match waitpid(child, None).expect("our own child") {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        other => unreachable!("waitpid without flags does not return {other:?}"),
    }
}
