//! Solution.

use std::ffi::CString;

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, execv, fork};

/// Runs all `commands` at the same time, each in a child of its own made with fork(2), as
/// `sh -c COMMAND`. Returns when every one has ended: their exit codes, in the order of `commands`.
pub fn run_all(commands: &[String]) -> Vec<i32> {
    // All are started before the first is waited for: so they run at the same time.
    let children: Vec<Pid> =
        commands.iter().map(|command| start(command)).collect();
    children.into_iter().map(exit_code).collect()
}

fn start(command: &str) -> Pid {
    // Before the fork: after it, a child should do as little as it can.
    let words =
        ["sh", "-c", command].map(|word| CString::new(word).expect("no NUL in it"));
    // SAFETY: this process has one thread.
    match unsafe { fork() }.expect("a process") {
        ForkResult::Parent { child } => child,
        ForkResult::Child => {
            let _ = execv(c"/bin/sh", &words);
            // Only if exec has failed. The child must not go on in its parent's program.
            // SAFETY: _exit ends the process.
            unsafe { libc::_exit(127) }
        }
    }
}

/// Blocks until this child has ended.
fn exit_code(child: Pid) -> i32 {
    match waitpid(child, None).expect("our own child") {
        WaitStatus::Exited(_, code) => code,
        // As a shell says it.
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        other => unreachable!("waitpid without flags does not say {other:?}"),
    }
}
