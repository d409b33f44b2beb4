//! Your part.

use std::time::Duration;

/// How late a time-out may be.
#[allow(dead_code)] // The stub does not use it yet.
pub const TICK: Duration = Duration::from_millis(100);

/// The time-outs of many connections.
///
/// It reads no clock. It is told the time, since its own beginning; the time never
/// goes back. Connections have numbers.
pub struct Timers {
    // The fields are yours.
}

impl Timers {
    /// No connection has a time-out.
    pub fn new() -> Timers {
        todo!("no time-outs")
    }

    /// This connection times out `after` this time, from `now` on. It has one time-out
    /// at most: one that it had before does not count any more.
    ///
    /// This is called for every request, with ten thousand connections open. So it must
    /// not look at all of them.
    pub fn set(&mut self, now: Duration, connection: u32, after: Duration) {
        todo!("connection {connection} times out {after:?} after {now:?}")
    }

    /// This connection has no time-out any more.
    pub fn cancel(&mut self, connection: u32) {
        todo!("connection {connection} has no time-out")
    }

    /// The time at which [`expired`](Timers::expired) must be called: the loop waits
    /// until then, if nothing else happens. `None`: no connection has a time-out.
    ///
    /// It may be earlier than needed. It must not be more than a [`TICK`] later than
    /// the first time-out.
    pub fn next(&self) -> Option<Duration> {
        todo!("when does the loop have to look?")
    }

    /// Returns the connections that have timed out at `now`, each once, in any order.
    /// They have no time-out any more.
    ///
    /// None is returned before its time. Each is returned by the first call that comes
    /// a [`TICK`] after its time, or later.
    pub fn expired(&mut self, now: Duration) -> Vec<u32> {
        todo!("which connections have timed out at {now:?}?")
    }
}
