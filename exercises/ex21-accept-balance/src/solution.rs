//! Your part.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

/// If a connection waits for so long, and no worker accepts, the first worker that
/// looks takes it: the one that should have taken it is stopped, or busy.
#[allow(dead_code)] // The stub does not use it yet.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// What a worker does about a connection that waits in the listener's queue.
#[allow(dead_code)] // The stub does not use it yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Accepts it.
    Accept,
    /// Leaves it to another worker, and looks again after this time: 1 to 10 ms.
    Leave(Duration),
}

/// How many connections each worker has open. All workers and the parent have this
/// memory in common: what one of them stores, all the others load.
///
/// A worker that does not run has no number of connections. How you say that in a
/// `u32` is up to you: before the first worker starts, [`exited`] is called for each.
pub type Table = [AtomicU32];

/// Worker `me` has started, and has no connection. Called in that worker.
pub fn started(table: &Table, me: usize) {
    todo!("worker {me} of {} has started", table.len())
}

/// Worker `me` has accepted a connection. Called in that worker.
pub fn opened(table: &Table, me: usize) {
    todo!("worker {me} of {} has one more", table.len())
}

/// A connection of worker `me` is closed. Called in that worker.
pub fn closed(table: &Table, me: usize) {
    todo!("worker {me} of {} has one less", table.len())
}

/// `worker` has exited, however that came. Called in the parent. Another worker with
/// the same number is started soon.
pub fn exited(table: &Table, worker: usize) {
    todo!("worker {worker} of {} does not run", table.len())
}

/// A connection waits. Does worker `me` accept it? Only if no worker that runs has
/// fewer connections; or if for [`PATIENCE`] no worker has accepted one.
///
/// `waiting`: for so long a connection has waited and no worker has accepted one.
pub fn decide(table: &Table, me: usize, waiting: Duration) -> Decision {
    todo!("worker {me} of {}, after {waiting:?}", table.len())
}
