//! A limit on how often the outside can make a program log the same thing.

use std::{
    fmt::Display,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::output::{complain, log};

/// Lines of one kind that are written in each second.
const LINES_PER_SECOND: u32 = 10;

/// Limits log lines of one kind to ten a second.
///
/// Some lines can be caused from outside: by a client that resets its connection,
/// by a child that sends garbage. A child can send a million bad lines a second; if
/// each of them is logged, the disk is soon full. A program keeps one `LogLimit`
/// for each such kind of line:
///
/// ```
/// # use std::time::Instant;
/// let bad_messages = cli::LogLimit::new();
/// for _ in 0..1000 {
///     bad_messages.complain(Instant::now(), "worker 7: a line is not JSON");
/// }
/// ```
///
/// Lines beyond the limit are counted. Their number is printed before the first
/// line of a later second, so that no timer is needed; or when the `LogLimit` is
/// dropped.
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<Window>);

/// One second of a log.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
}

impl LogLimit {
    /// A limit, for a field or a `static`.
    pub const fn new() -> LogLimit {
        LogLimit(Mutex::new(Window { began: None, written: 0, left_out: 0 }))
    }

    /// [`log`]s the line, unless ten lines were written in the second before `now`.
    pub fn log(&self, now: Instant, line: impl Display) {
        self.write(now, line, |text| log(text));
    }

    /// [`complain`]s with the line, unless ten were written in the second before
    /// `now`.
    pub fn complain(&self, now: Instant, line: impl Display) {
        self.write(now, line, |text| complain(text));
    }

    fn write(&self, now: Instant, line: impl Display, write: fn(&dyn Display)) {
        let admitted =
            self.0.lock().unwrap_or_else(PoisonError::into_inner).admit(now);
        match admitted {
            Some(0) => write(&line),
            Some(left_out) => {
                write(&note(left_out));
                write(&line);
            }
            None => {}
        }
    }
}

impl Drop for LogLimit {
    fn drop(&mut self) {
        let window = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        if window.left_out > 0 {
            complain(note(window.left_out));
        }
    }
}

impl Window {
    /// Whether a line may be written at `now`: `None` if not, else how many lines
    /// were left out before it.
    fn admit(&mut self, now: Instant) -> Option<u64> {
        let second = Duration::from_secs(1);
        if self.began.is_none_or(|began| now.duration_since(began) >= second) {
            let left_out = self.left_out;
            *self = Window { began: Some(now), written: 1, left_out: 0 };
            return Some(left_out);
        }
        if self.written == LINES_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.written += 1;
        Some(0)
    }
}

fn note(left_out: u64) -> String {
    format!("… {left_out} more like the line above")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_lines_a_second_then_the_number_left_out() {
        let start = Instant::now();
        let mut window = Window::default();
        let mut admit = |ms| window.admit(start + Duration::from_millis(ms));
        for ms in 0..10 {
            assert_eq!(admit(ms), Some(0), "line {ms}");
        }
        for ms in 10..999 {
            assert_eq!(admit(ms), None, "line {ms}");
        }
        assert_eq!(admit(999), None);
        assert_eq!(admit(1000), Some(990), "the next second begins");
        assert_eq!(admit(1001), Some(0));
    }

    #[test]
    fn rare_lines_are_all_written() {
        let start = Instant::now();
        let mut window = Window::default();
        for tenth in 0..100 {
            let now = start + Duration::from_millis(100 * tenth);
            assert_eq!(window.admit(now), Some(0), "line {tenth}");
        }
    }

    #[test]
    fn a_clock_that_stands_still_or_was_read_earlier_does_no_harm() {
        let start = Instant::now() + Duration::from_secs(10);
        let mut window = Window::default();
        assert_eq!(window.admit(start), Some(0));
        // A thread may read the clock, and then wait until another one has written.
        assert_eq!(window.admit(start - Duration::from_secs(1)), Some(0));
        assert_eq!(window.admit(start), Some(0));
    }
}
