//! Your part.

use std::process::{Child, ExitStatus};
use std::time::Duration;

/// Ends all `children`, and tells how each has ended, in their order. Blocks until they have.
///
/// All are asked with SIGTERM; one that was stopped is let go on, so that it hears. Whoever has not
/// ended when `grace` is over is ended with SIGKILL. Together they have one grace, not one each, and it
/// is cut short when the last has ended. Until then this sleeps: it does not look again and again.
///
/// A child that has ended before keeps the code that it ended with. No signal is sent to one that has
/// been waited for: its number may be a stranger's by then. Nothing is open afterwards that was not
/// open before.
pub fn stop(children: Vec<Child>, grace: Duration) -> Vec<ExitStatus> {
    todo!("ask {} children, give them {grace:?}, and insist", children.len())
}
