//! Your part.

use std::time::Duration;

/// Finds workers that hang: they give no sign of life any more.
///
/// It reads no clock. It is told the time, since its own beginning; the time never
/// goes back. Workers have numbers, and none is used twice.
pub struct Watch {
    // The fields are yours.
}

impl Watch {
    /// A worker is overdue when it has given no sign for `limit`.
    pub fn new(limit: Duration) -> Watch {
        todo!("a worker may be silent for {limit:?}")
    }

    /// This worker gives a sign of life at `now`. It is watched from its first sign
    /// on.
    pub fn sign(&mut self, now: Duration, worker: u32) {
        todo!("worker {worker} gives a sign at {now:?}")
    }

    /// This worker has exited. It is not watched any more.
    pub fn exited(&mut self, worker: u32) {
        todo!("worker {worker} has exited")
    }

    /// Returns the workers that are overdue at `now`: the last sign of each is
    /// `limit` ago, or longer. They will be killed, so they are not watched any
    /// more: each is returned once. No sign of them follows. The order is yours.
    ///
    /// You are asked at least four times in each `limit`. If the last question (the
    /// first time: the beginning, 0) is more than half of `limit` ago, then this
    /// process was stopped meanwhile. Its workers may have been stopped as well,
    /// so their silence means nothing: none is overdue, and the time of each begins
    /// anew, as if it had given a sign at `now`.
    pub fn overdue(&mut self, now: Duration) -> Vec<u32> {
        todo!("which workers are overdue at {now:?}?")
    }
}
