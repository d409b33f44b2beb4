//! Solution.

use std::collections::BTreeMap;
use std::time::Duration;

// ANCHOR: watch
/// Finds workers that hang: they give no sign of life any more.
///
/// It reads no clock. It is told the time, since its own beginning; the time never
/// goes back. Workers have numbers, and none is used twice.
pub struct Watch {
    limit: Duration,
    /// The last sign of each worker that is watched.
    signs: BTreeMap<u32, Duration>,
    /// When it was asked last.
    asked: Duration,
}
// ANCHOR_END: watch

impl Watch {
    // ANCHOR: signs
    /// A worker is overdue when it has given no sign for `limit`.
    pub fn new(limit: Duration) -> Watch {
        Watch { limit, signs: BTreeMap::new(), asked: Duration::ZERO }
    }

    /// This worker gives a sign of life at `now`. It is watched from its first sign
    /// on.
    pub fn sign(&mut self, now: Duration, worker: u32) {
        self.signs.insert(worker, now);
    }

    /// This worker has exited. It is not watched any more.
    pub fn exited(&mut self, worker: u32) {
        self.signs.remove(&worker);
    }
    // ANCHOR_END: signs

    // ANCHOR: overdue
    /// Returns the workers that are overdue at `now`. Each is returned once.
    ///
    /// If the last question is more than half of the limit ago, this process was
    /// stopped meanwhile. Then the time of each worker begins anew.
    pub fn overdue(&mut self, now: Duration) -> Vec<u32> {
        if now - self.asked > self.limit / 2 {
            self.signs.values_mut().for_each(|sign| *sign = now);
        }
        self.asked = now;
        let is_late = |sign: Duration| now - sign >= self.limit;
        let late = self.signs.iter().filter(|&(_, &sign)| is_late(sign));
        let late: Vec<u32> = late.map(|(&worker, _)| worker).collect();
        self.signs.retain(|_, sign| !is_late(*sign));
        late
    }
    // ANCHOR_END: overdue
}
