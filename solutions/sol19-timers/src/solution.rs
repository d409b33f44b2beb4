//! Solution.

use std::collections::HashMap;
use std::time::Duration;

/// How late a time-out may be.
pub const TICK: Duration = Duration::from_millis(100);

// ANCHOR: timers
/// The time-outs of many connections.
///
/// It reads no clock. It is told the time, since its own beginning; the time never
/// goes back. Connections have numbers.
pub struct Timers {
    /// When each connection times out.
    due: HashMap<u32, Duration>,
    /// No connection times out before this time.
    look_at: Duration,
}
// ANCHOR_END: timers

impl Timers {
    // ANCHOR: set
    /// No connection has a time-out.
    pub fn new() -> Timers {
        Timers { due: HashMap::new(), look_at: Duration::ZERO }
    }

    /// This connection times out `after` this time, from `now` on.
    pub fn set(&mut self, now: Duration, connection: u32, after: Duration) {
        if self.due.is_empty() {
            self.look_at = now + after;
        }
        self.look_at = self.look_at.min(now + after);
        self.due.insert(connection, now + after);
    }

    /// This connection has no time-out any more.
    pub fn cancel(&mut self, connection: u32) {
        self.due.remove(&connection);
    }
    // ANCHOR_END: set

    // ANCHOR: expired
    /// The time at which [`expired`](Timers::expired) must be called.
    pub fn next(&self) -> Option<Duration> {
        if self.due.is_empty() { None } else { Some(self.look_at) }
    }

    /// Returns the connections that have timed out at `now`, each once.
    pub fn expired(&mut self, now: Duration) -> Vec<u32> {
        if now < self.look_at {
            return Vec::new();
        }
        let is_due = |due: &Duration| *due <= now;
        let late = self.due.iter().filter(|(_, due)| is_due(due));
        let late = late.map(|(&connection, _)| connection).collect();
        self.due.retain(|_, due| !is_due(due));
        // All were looked at. Not again before a tick has passed.
        let first = self.due.values().copied().min().unwrap_or(now);
        self.look_at = first.max(now + TICK);
        late
    }
    // ANCHOR_END: expired
}
