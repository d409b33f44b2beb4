//! Your part.

use crate::harness::Change;

/// What this raw wait status says: the number that waitpid(2) writes, one of the four variants.
pub fn decode(status: i32) -> Change {
    todo!("which bits of {status:#06x} say what?")
}

/// What Node's `exit` event would be given, `(code, signal)`: one of the two is `None`. The signal
/// is its name, `SIGTERM`; a real-time signal has no name, and is `SIG` and its number: `SIG35`.
///
/// `None` for a child that has not ended: there is no event then.
pub fn exit_event(change: Change) -> Option<(Option<i32>, Option<String>)> {
    todo!("the code or the signal of {change:?}")
}

/// Blocks until this child has ended, was stopped, or goes on after a stop, and returns the raw
/// status (waitpid(2)). A child that has ended is reaped by this.
///
/// A signal that this process catches meanwhile does not end the waiting.
pub fn wait_for_change(child: i32) -> i32 {
    todo!("wait for process {child}, and for no other")
}
