// ANCHOR: top
//! Finds workers that hang: they give no sign of life any more.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ch04_events::Id;
// ANCHOR_END: top

// ANCHOR: fields
/// When each worker last gave a sign of life.
///
/// A worker is watched from its first sign on: a program that gives none is not
/// watched.
#[derive(Debug)]
pub struct Liveness {
    /// For the workers that give their first sign from now on.
    limit: Duration,
    workers: BTreeMap<Id, Watched>,
    /// When [`overdue`](Liveness::overdue) was called last.
    looked: Instant,
}

/// A worker that is watched.
#[derive(Debug)]
struct Watched {
    /// Its last sign of life.
    sign: Instant,
    limit: Duration,
}
// ANCHOR_END: fields

impl Liveness {
    // ANCHOR: new
    /// A worker may be silent for `limit`.
    pub fn new(now: Instant, limit: Duration) -> Liveness {
        Liveness { limit, workers: BTreeMap::new(), looked: now }
    }

    /// Workers that give their first sign from now on may be silent for `limit`. The
    /// others give their signs at the interval of their own limit, so they keep it.
    pub fn set_limit(&mut self, limit: Duration) {
        self.limit = limit;
    }

    /// How often a worker should give a sign, if it may be silent for `limit`.
    pub fn interval(limit: Duration) -> Duration {
        (limit / 8).min(Duration::from_secs(1))
    }
    // ANCHOR_END: new

    // ANCHOR: record
    /// A worker gave a sign of life at `now`.
    pub fn alive(&mut self, now: Instant, id: Id) {
        let first = Watched { sign: now, limit: self.limit };
        self.workers.entry(id).or_insert(first).sign = now;
    }

    /// A worker drains, or has exited: it is not watched any more.
    pub fn forget(&mut self, id: Id) {
        self.workers.remove(&id);
    }
    // ANCHOR_END: record

    // ANCHOR: overdue
    /// The workers that were silent for too long; they are forgotten. `seen`: all
    /// signs that were sent before this time have been recorded.
    ///
    /// If this process itself did not run for a while (Ctrl-Z and `fg`, a debugger,
    /// `docker pause`), its workers may not have run either. So their time begins anew.
    pub fn overdue(&mut self, seen: Instant) -> Vec<Id> {
        for worker in self.workers.values_mut() {
            if self.looked + worker.limit / 2 < seen {
                worker.sign = seen;
            }
        }
        self.looked = seen;
        let late = |worker: &Watched| worker.sign + worker.limit <= seen;
        let overdue = self.workers.iter().filter(|(_, worker)| late(worker));
        let overdue: Vec<Id> = overdue.map(|(&id, _)| id).collect();
        self.workers.retain(|_, worker| !late(worker));
        overdue
    }

    /// When [`overdue`](Liveness::overdue) must be called even if nothing happens: at
    /// least four times in each limit, so that it can notice that this process did
    /// not run.
    pub fn deadline(&self) -> Option<Instant> {
        let next = |worker: &Watched| {
            let next_look = self.looked + worker.limit / 4;
            next_look.min(worker.sign + worker.limit)
        };
        self.workers.values().map(next).min()
    }
    // ANCHOR_END: overdue
}
