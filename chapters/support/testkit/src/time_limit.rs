//! How long all tests of one exercise may take together.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Starts the clock, unless it runs already.
pub(crate) fn start() {
    STARTED.get_or_init(Instant::now);
}

/// Whether the tests of this process have used up their time. Never, if no program
/// was started in a [sandbox](crate::sandbox).
pub(crate) fn is_up() -> bool {
    STARTED.get().is_some_and(|it| it.elapsed() > Duration::from_secs(seconds()))
}

/// The limit: 20 s. On a slow machine the variable `TEST_SECONDS` sets another.
pub(crate) fn seconds() -> u64 {
    let set = std::env::var("TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    set.unwrap_or(20)
}
