//! The solution.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// If a connection waits for so long, the first worker that looks takes it.
pub const PATIENCE: Duration = Duration::from_millis(50);

/// What a worker does about a connection that waits in the listener's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Accepts it.
    Accept,
    /// Leaves it to another worker, and looks again after this time.
    Leave(Duration),
}

// ANCHOR: table
/// How many connections each worker has open.
pub type Table = [AtomicU32];

/// More than any worker can have: it is the least of none.
const DOES_NOT_RUN: u32 = u32::MAX;

/// A pause in which another worker accepts, if it can.
const PAUSE: Duration = Duration::from_millis(2);
// ANCHOR_END: table

// ANCHOR: count
/// Worker `me` has started, and has no connection.
pub fn started(table: &Table, me: usize) {
    table[me].store(0, Ordering::Relaxed);
}

/// Worker `me` has accepted a connection.
pub fn opened(table: &Table, me: usize) {
    table[me].fetch_add(1, Ordering::Relaxed);
}

/// A connection of worker `me` is closed.
pub fn closed(table: &Table, me: usize) {
    table[me].fetch_sub(1, Ordering::Relaxed);
}

/// `worker` has exited.
pub fn exited(table: &Table, worker: usize) {
    table[worker].store(DOES_NOT_RUN, Ordering::Relaxed);
}
// ANCHOR_END: count

// ANCHOR: decide
/// A connection waits. Does worker `me` accept it?
pub fn decide(table: &Table, me: usize, waiting: Duration) -> Decision {
    let own = table[me].load(Ordering::Relaxed);
    let has_fewer = |it: &AtomicU32| it.load(Ordering::Relaxed) < own;
    if waiting >= PATIENCE || !table.iter().any(has_fewer) {
        Decision::Accept
    } else {
        Decision::Leave(PAUSE)
    }
}
// ANCHOR_END: decide
