//! Until when to wait in poll(2).

use std::time::{Duration, Instant};

use nix::poll::PollTimeout;

/// The time until `when`, as poll(2) takes it: in milliseconds, rounded up, so that nobody wakes a
/// moment too early and finds nothing to do. `None` is for ever.
pub fn poll_until(when: Option<Instant>) -> PollTimeout {
    let Some(when) = when else { return PollTimeout::NONE };
    let left = when.saturating_duration_since(Instant::now());
    let rounded_up = (left + Duration::from_nanos(999_999)).as_millis();
    PollTimeout::try_from(rounded_up).unwrap_or(PollTimeout::MAX)
}
