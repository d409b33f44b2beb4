//! How long all tests of one exercise may take together.
//!
//! On a machine that has much else to do, a right program takes longer too. So the clock
//! of this limit runs slower the longer a thread that could run has to wait for a
//! processor: see [`count`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What is counted so far, in microseconds.
static USED: AtomicU64 = AtomicU64::new(0);

/// The clock runs at a fifth of its speed or faster: the limit always comes.
const SLOWEST: f64 = 0.2;

/// A thread that wakes is not late before this: timers are not more precise.
const GRACE: Duration = Duration::from_millis(1);

/// Counts a turn of a thread that slept, and then worked. If the processor was busy, the
/// turn took longer than sleep and work together, and only the same share of it is counted
/// as the thread got of the processor when it wanted to run.
pub(crate) fn count(turn: Duration, slept: Duration, worked: Duration) {
    let counted = turn.mul_f64(share(turn, slept, worked));
    USED.fetch_add(counted.as_micros() as u64, Ordering::Relaxed);
}

fn share(turn: Duration, slept: Duration, worked: Duration) -> f64 {
    let late = turn.saturating_sub(slept + worked + GRACE);
    let wanted = worked + late;
    if late.is_zero() {
        return 1.0;
    }
    (worked.as_secs_f64() / wanted.as_secs_f64()).max(SLOWEST)
}

/// What is counted so far: a clock that runs slower while the processors are busy.
pub(crate) fn used() -> Duration {
    Duration::from_micros(USED.load(Ordering::Relaxed))
}

/// The time in which this clock counts `within`, at its slowest speed.
pub(crate) fn longest(within: Duration) -> Duration {
    within.div_f64(SLOWEST)
}

/// Whether the tests of this process have used up their time. Never, if no program
/// was started in a [sandbox](crate::sandbox).
pub(crate) fn is_up() -> bool {
    used().as_secs_f64() > seconds()
}

/// The limit: 20 s. The variable `TEST_SECONDS` sets another.
pub(crate) fn seconds() -> f64 {
    let set = std::env::var("TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    set.filter(|seconds| *seconds > 0.0).unwrap_or(20.0)
}

/// Why a test fails once the time is up, for the student.
pub(crate) fn reason() -> String {
    format!(
        "all tests together may take {} s. Does it wait for something that never happens, or \
         loop without end?",
        seconds()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share_of(turn: u64, slept: u64, worked: u64) -> f64 {
        let [turn, slept, worked] =
            [turn, slept, worked].map(Duration::from_millis);
        share(turn, slept, worked)
    }

    #[test]
    fn the_clock_runs_as_slowly_as_the_machine() {
        assert_eq!(share_of(54, 50, 4), 1.0, "the processor was free");
        assert_eq!(share_of(55, 50, 4), 1.0, "a timer is not that precise");
        assert_eq!(share_of(59, 50, 4), 0.5, "it got half of the processor");
        assert_eq!(share_of(67, 50, 4), 0.25);
        assert_eq!(share_of(5000, 50, 4), SLOWEST, "the limit always comes");
        assert_eq!(share_of(5000, 50, 0), SLOWEST);
    }
}
