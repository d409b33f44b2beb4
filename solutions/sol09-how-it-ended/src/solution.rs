//! Solution.

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

use crate::harness::Change;

// ANCHOR: decode
/// What this raw wait status says: the number that waitpid(2) writes, one of the four variants.
pub fn decode(status: i32) -> Change {
    // The macros of wait(2), which libc has as functions. Not nix's WaitStatus: it knows no real-time
    // signals.
    if libc::WIFEXITED(status) {
        Change::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        Change::Signaled {
            signal: libc::WTERMSIG(status),
            core: libc::WCOREDUMP(status),
        }
    } else if libc::WIFSTOPPED(status) {
        Change::Stopped(libc::WSTOPSIG(status))
    } else {
        Change::Continued
    }
}
// ANCHOR_END: decode

// ANCHOR: exit_event
/// What Node's `exit` event would be given, `(code, signal)`: one of the two is `None`. The signal
/// is its name, `SIGTERM`; a real-time signal has no name, and is `SIG` and its number: `SIG35`.
///
/// `None` for a child that has not ended: there is no event then.
pub fn exit_event(change: Change) -> Option<(Option<i32>, Option<String>)> {
    match change {
        Change::Exited(code) => Some((Some(code), None)),
        Change::Signaled { signal, .. } => Some((None, Some(name(signal)))),
        Change::Stopped(_) | Change::Continued => None,
    }
}

fn name(signal: i32) -> String {
    match Signal::try_from(signal) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("SIG{signal}"),
    }
}
// ANCHOR_END: exit_event

// ANCHOR: wait_for_change
/// Blocks until this child has ended, was stopped, or goes on after a stop, and returns the raw
/// status (waitpid(2)). A child that has ended is reaped by this.
///
/// A signal that this process catches meanwhile does not end the waiting.
pub fn wait_for_change(child: i32) -> i32 {
    let mut status = 0;
    loop {
        // SAFETY: it writes one number, to `status`.
        let pid = unsafe {
            libc::waitpid(
                child,
                &raw mut status,
                libc::WUNTRACED | libc::WCONTINUED,
            )
        };
        match Errno::result(pid) {
            Ok(_) => return status,
            Err(Errno::EINTR) => {}
            Err(error) => panic!("cannot wait for {child}, our own child: {error}"),
        }
    }
}
// ANCHOR_END: wait_for_change
