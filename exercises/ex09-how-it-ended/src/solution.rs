//! Your part.

use crate::harness::Change;

/// Decodes a wait status: the number that waitpid(2) writes.
pub fn decode(status: i32) -> Change {
    todo!("which bits of {status:#06x} say what?")
}

/// The arguments of Node's `exit` event, `(code, signal)`: one of the two is
/// `None`. The signal is its name, `SIGTERM`. A real-time signal has no name: it is
/// `SIG` and its number, `SIG35`.
///
/// `None` for a child that has not exited: then there is no event.
pub fn exit_event(change: Change) -> Option<(Option<i32>, Option<String>)> {
    todo!("the code or the signal of {change:?}")
}

/// Blocks until this child exits, is stopped, or continues after a stop. Returns
/// the wait status, as waitpid(2) writes it. A child that has exited is reaped by
/// this.
///
/// A signal that this process handles meanwhile does not end the waiting.
pub fn wait_for_change(child: i32) -> i32 {
    todo!("wait for process {child}, and for no other")
}
