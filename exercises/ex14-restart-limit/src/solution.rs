//! Your part.

use std::time::Duration;

use crate::harness::{Action, Event};

/// A limit on restarts. It reads no clock: the time comes with each event, counted from the start.
pub struct RestartLimit {
    // What it has to remember is for you to find out.
}

impl RestartLimit {
    /// At most `most` restarts in any `window`.
    pub fn new(most: usize, window: Duration) -> RestartLimit {
        todo!("at most {most} restarts in {window:?}")
    }

    /// Decides what is to be done about `event`, which happens at `now`. `now` never goes back.
    ///
    /// - A worker that says `suicide` is replaced. That is planned, and does not count. To say it
    ///   twice changes nothing, and neither does its end.
    /// - A worker that ends without that has crashed, whatever its code. It is restarted, if fewer than
    ///   `most` restarts were made in the window before `now`; one that is exactly a `window` ago has
    ///   left it. If not: `GiveUp`.
    /// - After `GiveUp` there is nothing to do, whatever happens.
    ///
    /// It remembers no more than it needs, so that it can go on for years.
    pub fn step(&mut self, now: Duration, event: Event) -> Action {
        todo!("at {now:?}: {event:?}")
    }
}
