//! Solution.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::harness::{Action, Event};

// ANCHOR: restart_limit
/// A limit on restarts. It reads no clock: the time comes with each event, counted from the start.
pub struct RestartLimit {
    most: usize,
    window: Duration,
    /// When the last restarts were made: those that are in the window, the oldest first.
    restarts: VecDeque<Duration>,
    /// Those that have said that they will end, and have not yet.
    leaving: BTreeSet<u32>,
    given_up: bool,
}
// ANCHOR_END: restart_limit

impl RestartLimit {
    /// At most `most` restarts in any `window`.
    pub fn new(most: usize, window: Duration) -> RestartLimit {
        let (restarts, leaving) = (VecDeque::new(), BTreeSet::new());
        RestartLimit { most, window, restarts, leaving, given_up: false }
    }

    // ANCHOR: step
    /// Decides what is to be done about `event`, which happens at `now`. `now` never goes back.
    pub fn step(&mut self, now: Duration, event: Event) -> Action {
        match event {
            _ if self.given_up => Action::Nothing,
            // `insert` tells whether it is the first time.
            Event::Suicide(worker) if self.leaving.insert(worker) => Action::Start,
            Event::Suicide(_) => Action::Nothing,
            // It was replaced when it said so. From here on nobody asks for it.
            Event::Ended(worker, _) if self.leaving.remove(&worker) => {
                Action::Nothing
            }
            Event::Ended(..) => self.crashed(now),
        }
    }
    // ANCHOR_END: step

    // ANCHOR: crashed
    fn crashed(&mut self, now: Duration) -> Action {
        // What has left the window never comes back. So no more than `most` are kept.
        while self
            .restarts
            .front()
            .is_some_and(|&restart| now - restart >= self.window)
        {
            self.restarts.pop_front();
        }
        if self.restarts.len() >= self.most {
            self.given_up = true;
            return Action::GiveUp;
        }
        self.restarts.push_back(now);
        Action::Start
    }
    // ANCHOR_END: crashed
}
