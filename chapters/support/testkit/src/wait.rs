//! Waiting: until a condition holds, or until a deadline.

use std::fmt::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cell;
use crate::place::port_is_free;
use crate::processes::Process;

/// How long to pause between two looks. It costs time, but it never decides.
const PAUSE: Duration = Duration::from_millis(3);

/// Blocks until `cond` holds.
///
/// # Panics
/// When it does not hold `within` that time: `what` then says what was waited for.
#[track_caller]
pub fn eventually(what: &str, within: Duration, mut cond: impl FnMut() -> bool) {
    if try_eventually(within, || cond().then_some(())).is_none() {
        panic!("waited {within:?} in vain: {what}");
    }
}

/// Blocks until `look` finds something; `None` when it did not find it `within` that time.
///
/// The last look is always *after* the deadline: on a busy machine this thread may get no turn
/// for a while, and that must not be held against the program.
pub fn try_eventually<T>(
    within: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        let late = Instant::now() >= deadline || cell::time_is_up();
        let found = look();
        if found.is_some() || late {
            return found;
        }
        sleep(PAUSE);
    }
}

/// Blocks until none of `procs` lives any more and `port` can be bound again on 127.0.0.1.
///
/// A zombie counts as gone: whoever has to reap it, it is not running.
///
/// # Panics
/// When it is not so `within` that time. The message names who is left.
#[track_caller]
pub fn assert_all_gone(procs: &[Process], port: Option<u16>, within: Duration) {
    let clean =
        || procs.iter().all(|p| !p.alive()) && port.is_none_or(port_is_free);
    if try_eventually(within, || clean().then_some(())).is_some() {
        return;
    }
    let mut left = String::new();
    for process in procs.iter().filter(|p| p.alive()) {
        let _ = write!(
            left,
            "\n  process {} lives: {}",
            process.pid,
            process.command_line()
        );
    }
    if let Some(port) = port.filter(|p| !port_is_free(*p)) {
        let _ = write!(left, "\n  port {port} is still taken");
    }
    if left.is_empty() {
        left.push_str("\n  all is gone by now, but it came too late");
    }
    panic!("after {within:?} all should be gone, but:{left}");
}
