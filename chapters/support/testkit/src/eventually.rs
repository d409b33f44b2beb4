//! Waiting until a condition holds, or until a deadline.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::port::is_free;
use crate::processes::Process;
use crate::time_limit;

/// The pause between two looks. It costs time, but it decides nothing.
const PAUSE: Duration = Duration::from_millis(3);

/// Waits from this length on count only the time in which the machine was free.
const PATIENT: Duration = Duration::from_secs(1);

/// A pause that takes longer counts as this: then the whole machine stood still, the
/// programs under test as well. (Virtual machines do that, for seconds.)
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Blocks until `condition` holds.
///
/// # Panics
/// If it does not hold `within` that time. The message is `what` was waited for.
#[track_caller]
pub fn eventually(
    what: &str,
    within: Duration,
    mut condition: impl FnMut() -> bool,
) {
    if try_eventually(within, || condition().then_some(())).is_some() {
        return;
    }
    if time_limit::is_up() {
        panic!("waited in vain: {what}\n{}", time_limit::reason());
    }
    panic!("waited {within:?} in vain: {what}");
}

/// Blocks until `look` finds something; `None` if it does not find it `within` that
/// time.
///
/// The last look comes *after* the deadline: on a busy machine this thread may not
/// run for a while, and that is not the program's fault.
///
/// Once the time of all tests is up, it finds nothing: the programs are killed then, so what
/// it would see (an exit, an end, a refused connection) is not the program's doing.
pub fn try_eventually<T>(
    within: Duration,
    look: impl FnMut() -> Option<T>,
) -> Option<T> {
    look_until(within, time_limit::is_up, look)
}

/// Like [`try_eventually`], even after the [`time_limit`]: for cleaning up, and for
/// messages.
pub(crate) fn clean_up_eventually<T>(
    within: Duration,
    look: impl FnMut() -> Option<T>,
) -> Option<T> {
    look_until(within, || false, look)
}

fn look_until<T>(
    within: Duration,
    is_time_up: impl Fn() -> bool,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let (mut began, counted) = (Instant::now(), time_limit::used());
    loop {
        let is_last =
            is_over(within, began.elapsed(), time_limit::used() - counted);
        let found = look();
        // In this order: the programs are killed after the time is up, never before.
        if is_time_up() {
            return None;
        }
        if found.is_some() || is_last {
            return found;
        }
        let paused = Instant::now();
        sleep(PAUSE);
        began += paused.elapsed().saturating_sub(LONGEST_PAUSE);
    }
}

/// Whether a wait of `within` is over, if so much time has passed, and the clock of the
/// [`time_limit`] has counted so much of it.
///
/// A wait for what should happen may take longer while the processors are busy, and so may a
/// right program. A short wait is for what must not happen.
fn is_over(within: Duration, passed: Duration, counted: Duration) -> bool {
    let is_patient = within >= PATIENT && !counted.is_zero();
    let is_late = !is_patient || counted >= within;
    passed >= within && (is_late || passed >= time_limit::longest(within))
}

/// Blocks until no process of `processes` is alive and `port` can be bound again on
/// 127.0.0.1.
///
/// A zombie is not alive: it only waits for its parent to reap it.
///
/// # Panics
/// If that takes longer than `within`. The message names what is left.
#[track_caller]
pub fn assert_all_gone(processes: &[Process], port: Option<u16>, within: Duration) {
    let all_gone =
        || processes.iter().all(|it| !it.alive()) && port.is_none_or(is_free);
    if try_eventually(within, || all_gone().then_some(())).is_some() {
        return;
    }
    let mut left = String::new();
    for process in processes.iter().filter(|it| it.alive()) {
        let (pid, command) = (process.pid, process.command_line());
        let _ = write!(left, "\n  process {pid} is alive: {command}");
    }
    if let Some(port) = port.filter(|port| !is_free(*port)) {
        let _ = write!(left, "\n  port {port} is still taken");
    }
    if left.is_empty() {
        left.push_str("\n  all is gone now, but it took longer than that");
    }
    panic!("after {within:?} all should be gone, but:{left}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_wait_is_longer_while_the_processors_are_busy() {
        let [short, second, two, five] =
            [100, 1000, 2000, 5000].map(Duration::from_millis);
        assert!(!is_over(two, second, second));
        assert!(is_over(two, two, two));
        assert!(!is_over(two, five, second), "it was busy for 4 of 5 s");
        assert!(is_over(second, five, short), "but it ends");
        assert!(is_over(two, two, Duration::ZERO), "no program is in a sandbox");
        assert!(is_over(short, short, short / 2), "it must not happen");
    }
}
