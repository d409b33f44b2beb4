//! Your part.

use std::time::Duration;

use crate::harness::{Action, Event};

/// A limit on restarts. It reads no clock: each event has its time, since the
/// start.
pub struct RestartLimit {
    // The fields are yours.
}

impl RestartLimit {
    /// At most `most` restarts in any `window`.
    pub fn new(most: usize, window: Duration) -> RestartLimit {
        todo!("at most {most} restarts in {window:?}")
    }

    /// Decides what to do about `event`, which happens at `now`. `now` never goes
    /// back.
    ///
    /// - A worker that announces that it drains is replaced. That is planned, and
    ///   does not count. To announce it again changes nothing, and neither does its
    ///   exit.
    /// - A worker that exits without that has crashed, whatever its exit status. It
    ///   is restarted if fewer than `most` restarts were made in the `window`
    ///   before `now`; a restart that was made exactly one `window` ago is outside.
    ///   Otherwise: `GiveUp`.
    /// - After `GiveUp` there is nothing to do, whatever happens.
    ///
    /// It keeps no more data than it needs, because a server runs for years.
    pub fn step(&mut self, now: Duration, event: Event) -> Action {
        todo!("at {now:?}: {event:?}")
    }
}
