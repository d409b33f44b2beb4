//! A limit on how often the outside can make a program log the same thing.

use std::{
    fmt::Display,
    mem,
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
///
/// For lines that may well come in large numbers, but not for hours, there is
/// [`with_burst`](LogLimit::with_burst).
#[derive(Debug, Default)]
pub struct LogLimit(Mutex<Window>);

/// One second of a log.
#[derive(Debug, Default)]
struct Window {
    began: Option<Instant>,
    written: u32,
    left_out: u64,
    /// Lines that may be written beyond the limit of a second…
    spare: u32,
    /// …and the most of them. What a second does not use is added.
    burst: u32,
}

impl LogLimit {
    /// A limit, for a field or a `static`.
    pub const fn new() -> LogLimit {
        LogLimit::with_burst(0)
    }

    /// A limit that lets `lines` more pass at once. Then it is ten a second, until
    /// a quieter time comes.
    pub const fn with_burst(lines: u32) -> LogLimit {
        LogLimit(Mutex::new(Window {
            began: None,
            written: 0,
            left_out: 0,
            spare: lines,
            burst: lines,
        }))
    }

    /// [`log`]s the line, unless ten lines were written in the second before `now`.
    /// Returns whether it did.
    pub fn log(&self, now: Instant, line: impl Display) -> bool {
        self.write(now, line, |text| log(text))
    }

    /// [`complain`]s with the line, unless ten were written in the second before
    /// `now`.
    pub fn complain(&self, now: Instant, line: impl Display) {
        self.write(now, line, |text| complain(text));
    }

    fn write(
        &self,
        now: Instant,
        line: impl Display,
        write: fn(&dyn Display),
    ) -> bool {
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
        admitted.is_some()
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
        let passed = self.began.map(|began| now.duration_since(began));
        if passed.is_none_or(|passed| passed >= second) {
            let seconds = passed.map_or(0, |passed| passed.as_secs() as u32);
            let unused = LINES_PER_SECOND
                .saturating_mul(seconds)
                .saturating_sub(self.written);
            self.spare = self.spare.saturating_add(unused).min(self.burst);
            (self.began, self.written) = (Some(now), 0);
        }
        if self.written < LINES_PER_SECOND {
            self.written += 1;
        } else if self.spare > 0 {
            self.spare -= 1;
        } else {
            self.left_out += 1;
            return None;
        }
        Some(mem::take(&mut self.left_out))
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
    fn a_burst_is_written_and_comes_back_in_a_quiet_time() {
        let start = Instant::now();
        let limit = LogLimit::with_burst(50);
        let mut window = limit.0.lock().expect("no thread panicked");
        let mut written = |second, lines| {
            let now = start + Duration::from_secs(second);
            (0..lines).filter(|_| window.admit(now).is_some()).count()
        };
        assert_eq!(written(0, 1000), 60);
        assert_eq!(written(1, 1000), 10, "the burst is used up");
        assert_eq!(written(2, 1000), 10);
        assert_eq!(written(5, 1000), 10 + 20, "two seconds were quiet");
        assert_eq!(written(1000, 1000), 10 + 50, "not more than at first");
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
