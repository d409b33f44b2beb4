//! What a running program prints: the other half of [`Running`].

use std::net::SocketAddr;
use std::time::Duration;

use crate::capture::Capture;
use crate::running::Running;
use crate::wait::try_eventually;

/// How long a line that is waited for may take.
const LINE_LIMIT: Duration = Duration::from_secs(10);

impl Running {
    /// What it has printed on standard output so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Blocks until a line of standard output contains `needle`, and returns that line: the first
    /// one, also when it was printed long ago.
    ///
    /// # Panics
    /// When there is none within 10 s, or when the output has ended without.
    #[track_caller]
    pub fn wait_for_line(&self, needle: &str) -> String {
        self.wait_for_line_or(needle, "")
    }

    /// As [`wait_for_line`](Running::wait_for_line). The panic says `hint` as well: where to look, if
    /// the line does not come.
    ///
    /// # Panics
    /// Just so.
    #[track_caller]
    pub fn wait_for_line_or(&self, needle: &str, hint: &str) -> String {
        self.line_of(&self.stdout, "stdout", needle, 1, hint).swap_remove(0)
    }

    /// Blocks until `count` lines of standard output contain `needle`, and returns them all.
    ///
    /// # Panics
    /// As [`wait_for_line`](Running::wait_for_line).
    #[track_caller]
    pub fn wait_for_lines(&self, needle: &str, count: usize) -> Vec<String> {
        self.line_of(&self.stdout, "stdout", needle, count, "")
    }

    /// As [`wait_for_line`](Running::wait_for_line), on standard error.
    ///
    /// # Panics
    /// Just so.
    #[track_caller]
    pub fn wait_for_stderr(&self, needle: &str) -> String {
        self.line_of(&self.stderr, "stderr", needle, 1, "").swap_remove(0)
    }

    /// Blocks until it has printed `listening on http://ADDR:PORT`, and returns that address.
    ///
    /// # Panics
    /// When it does not, or ends first.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        const MARK: &str = "listening on http://";
        let line = self.wait_for_line(MARK);
        let text =
            &line[line.find(MARK).expect("it was searched for") + MARK.len()..];
        let end = text.find(|c: char| c.is_whitespace() || "/,;)".contains(c));
        let text = &text[..end.unwrap_or(text.len())];
        text.parse()
            .unwrap_or_else(|e| panic!("no address ({e}): {text:?} in {line:?}"))
    }

    /// The port of [`addr`](Running::addr).
    ///
    /// # Panics
    /// Just so.
    #[track_caller]
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    #[track_caller]
    fn line_of(
        &self,
        stream: &Capture,
        name: &str,
        needle: &str,
        count: usize,
        hint: &str,
    ) -> Vec<String> {
        let mut seen = 0;
        let mut ended = false;
        let found = try_eventually(LINE_LIMIT, || {
            // In this order: a line that comes before the end is then never missed.
            ended = !stream.is_open();
            let lines = stream.lines_with(needle);
            seen = lines.len();
            (seen >= count || ended).then_some(lines)
        });
        let when = if ended {
            "it has ended".into()
        } else {
            format!("{LINE_LIMIT:?} are over")
        };
        found.filter(|lines| lines.len() >= count).unwrap_or_else(|| {
            let times = if count == 1 { String::new() } else { format!(" {count} times") };
            panic!(
                "the program's {name} should say {needle:?}{times}; it was said {seen} times, and {when}\n\
                 {hint}{}{}",
                if hint.is_empty() { "" } else { "\n" },
                self.describe()
            )
        })
    }
}
