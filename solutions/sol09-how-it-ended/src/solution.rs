//! Solution.

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::Signal;

use crate::harness::Change;

// ANCHOR: decode
/// Decodes a wait status: the number that waitpid(2) writes.
pub fn decode(status: i32) -> Change {
    // The macros of wait(2), which libc has as functions. Not nix's WaitStatus: it
    // does not know the real-time signals.
    if libc::WIFEXITED(status) {
        Change::Exited(libc::WEXITSTATUS(status))
    } else if libc::WIFSIGNALED(status) {
        let (signal, core) = (libc::WTERMSIG(status), libc::WCOREDUMP(status));
        Change::Signaled { signal, core }
    } else if libc::WIFSTOPPED(status) {
        Change::Stopped(libc::WSTOPSIG(status))
    } else {
        Change::Continued
    }
}
// ANCHOR_END: decode

// ANCHOR: exit_event
/// The arguments of Node's `exit` event, `(code, signal)`: one of the two is
/// `None`. The signal is its name, `SIGTERM`. A real-time signal has no name: it is
/// `SIG` and its number, `SIG35`.
///
/// `None` for a child that has not exited: then there is no event.
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
/// Blocks until this child exits, is stopped, or continues after a stop. Returns
/// the wait status, as waitpid(2) writes it. A child that has exited is reaped by
/// this.
///
/// A signal that this process handles meanwhile does not end the waiting.
pub fn wait_for_change(child: i32) -> i32 {
    let flags = libc::WUNTRACED | libc::WCONTINUED;
    let mut status = 0;
    loop {
        // SAFETY: waitpid(2) writes one number, to `status`.
        let pid = unsafe { libc::waitpid(child, &raw mut status, flags) };
        match Errno::result(pid) {
            Ok(_) => return status,
            Err(Errno::EINTR) => {}
            Err(error) => panic!("cannot wait for {child}, our own child: {error}"),
        }
    }
}
// ANCHOR_END: wait_for_change
