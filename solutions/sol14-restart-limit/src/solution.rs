//! Solution.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::harness::{Action, Event};

// ANCHOR: restart_limit
/// A limit on restarts. It reads no clock: each event has its time, since the
/// start.
pub struct RestartLimit {
    most: usize,
    window: Duration,
    /// When the restarts in the window were made, the oldest first.
    restarts: VecDeque<Duration>,
    /// The workers that have announced their exit, and not exited yet.
    draining: BTreeSet<u32>,
    given_up: bool,
}
// ANCHOR_END: restart_limit

impl RestartLimit {
    /// At most `most` restarts in any `window`.
    pub fn new(most: usize, window: Duration) -> RestartLimit {
        let (restarts, draining) = (VecDeque::new(), BTreeSet::new());
        RestartLimit { most, window, restarts, draining, given_up: false }
    }

    // ANCHOR: step
    /// Decides what to do about `event`, which happens at `now`. `now` never goes
    /// back.
    pub fn step(&mut self, now: Duration, event: Event) -> Action {
        match event {
            _ if self.given_up => Action::Nothing,
            // `insert` returns whether the worker is new in the set.
            Event::Draining(worker) if self.draining.insert(worker) => {
                Action::Start
            }
            Event::Draining(_) => Action::Nothing,
            // It was replaced when it announced its exit. No event names it again.
            Event::Exited(worker, _) if self.draining.remove(&worker) => {
                Action::Nothing
            }
            Event::Exited(..) => self.restart(now),
        }
    }
    // ANCHOR_END: step

    // ANCHOR: restart
    fn restart(&mut self, now: Duration) -> Action {
        // A restart that has left the window never returns to it, because time does
        // not go back. So at most `most` of them are kept.
        let is_old = |restart: &Duration| now - *restart >= self.window;
        while self.restarts.front().is_some_and(is_old) {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.most {
            self.given_up = true;
            return Action::GiveUp;
        }
        self.restarts.push_back(now);
        Action::Start
    }
    // ANCHOR_END: restart
}
