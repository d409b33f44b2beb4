//! A program that was started.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::capture::Capture;
use crate::eventually::{clean_up_eventually, try_eventually};
use crate::lock::lock;
use crate::process_tree::ProcessTree;
use crate::processes::{Process, Table};
use crate::{sandbox, time_limit};

/// How long a line that a test waits for may take.
const LINE_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take to read the rest of the output of a program that has
/// exited.
const OUTPUT_LIMIT: Duration = Duration::from_millis(300);

/// A message shows so many bytes of each output stream.
const SHOWN: usize = 4 << 10;

/// A running program. Dropping it kills the program and all its descendants, and panics if
/// the [sandbox] has killed it before: then no test may pass.
///
/// All methods take `&self`, so several threads can use it at once.
pub struct Running {
    name: String,
    child: Mutex<Child>,
    tree: Arc<ProcessTree>,
}

impl Running {
    pub(crate) fn new(
        name: String,
        child: Child,
        tree: Arc<ProcessTree>,
    ) -> Running {
        Running { name, child: Mutex::new(child), tree }
    }

    /// Its process id, which is also its process group's.
    pub fn pid(&self) -> i32 {
        self.tree.leader.pid
    }

    /// The process that was started.
    pub fn process(&self) -> Process {
        self.tree.leader
    }

    /// Its living children, oldest first.
    pub fn children(&self) -> Vec<Process> {
        self.related(Table::children_of)
    }

    /// Its living children, their children, and so on, oldest first.
    pub fn descendants(&self) -> Vec<Process> {
        self.related(Table::descendants_of)
    }

    /// The process and all its living descendants, oldest first: also orphans, and
    /// those that have left the process group.
    pub fn processes(&self) -> Vec<Process> {
        self.tree.living()
    }

    fn related(&self, find: fn(&Table, i32) -> Vec<Process>) -> Vec<Process> {
        let table = Table::read();
        // The tree remembers all members that it sees, to kill them in the end.
        self.tree.living_in(&table);
        if self.tree.leader.exists() {
            find(&table, self.pid())
        } else {
            Vec::new()
        }
    }

    /// Sends a signal to the program alone, not to its group.
    ///
    /// # Panics
    /// If it was reaped already: another process may have its pid now.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        // It is reaped under this lock only, so the pid stays its own while we hold
        // it.
        let child = lock(&self.child);
        if !self.tree.leader.exists() {
            drop(child);
            panic!(
                "cannot send {signal}: it has exited and was waited for\n{}",
                self.describe()
            );
        }
        if let Err(error) = kill(Pid::from_raw(self.pid()), signal) {
            panic!("cannot send {signal} to {}: {error}", self.name);
        }
    }

    /// Its exit status, or `None` while it runs. What it has printed until then is in
    /// [`stdout`](Running::stdout) and [`stderr`](Running::stderr): for that it may
    /// block for a moment.
    pub fn try_wait(&self) -> Option<ExitStatus> {
        let mut child = lock(&self.child);
        if self.tree.leader.exists() && !self.tree.leader.alive() {
            // Another group may get its number once it is reaped: look for the
            // members of this group before.
            self.tree.living();
        }
        let status = child.try_wait().expect("our own child can be waited for");
        drop(child);
        if status.is_some() {
            // What it has printed may still be in the pipes.
            let streams = [&self.tree.stdout, &self.tree.stderr];
            let read = || streams.iter().all(|stream| stream.is_read());
            try_eventually(Duration::from_secs(1), || read().then_some(()));
        }
        status
    }

    /// Like [`try_eventually`], but once the program has exited it looks only one more
    /// time: nothing is to be expected then.
    pub fn try_while_it_runs<T>(
        &self,
        within: Duration,
        mut look: impl FnMut() -> Option<T>,
    ) -> Option<T> {
        let found = try_eventually(within, || {
            let has_exited = self.try_wait().is_some();
            let found = look();
            (found.is_some() || has_exited).then_some(found)
        });
        found.flatten()
    }

    /// Blocks until it has exited, and returns its exit status.
    ///
    /// # Panics
    /// If it is still running after `within`. Dropping it then kills it.
    #[track_caller]
    pub fn wait(&self, within: Duration) -> ExitStatus {
        match try_eventually(within, || self.try_wait()) {
            Some(status) => status,
            None => {
                panic!("should have exited within {within:?}\n{}", self.describe())
            }
        }
    }

    /// Whether nothing more can be printed: no process has its output open.
    pub fn output_ended(&self) -> bool {
        !self.tree.stdout.is_open() && !self.tree.stderr.is_open()
    }

    /// Blocks until it has exited and its output has ended.
    #[track_caller]
    pub(crate) fn finish(self, limit: Duration) -> Output {
        let ended = || self.try_wait().filter(|_| self.output_ended());
        let status = try_eventually(limit, ended);
        assert!(self.reason_to_fail().is_none(), "{}", self.describe());
        match status {
            Some(status) => {
                Output { status, stdout: self.stdout(), stderr: self.stderr() }
            }
            None if self.try_wait().is_some() => panic!(
                "it has exited, but after {limit:?} one of its descendants still holds its output open\n{}",
                self.describe()
            ),
            None => {
                panic!("should have exited within {limit:?}\n{}", self.describe())
            }
        }
    }

    /// What it has printed on standard output so far.
    pub fn stdout(&self) -> String {
        self.tree.stdout.text()
    }

    /// What it has printed on standard error so far.
    pub fn stderr(&self) -> String {
        self.tree.stderr.text()
    }

    /// Blocks until a line of standard output contains `needle`, and returns that
    /// line: the first one, even if it was printed long ago.
    ///
    /// # Panics
    /// If there is none within 10 s, or if the output has ended without it.
    #[track_caller]
    pub fn wait_for_line(&self, needle: &str) -> String {
        self.wait_for_line_or(needle, "")
    }

    /// Like [`wait_for_line`](Running::wait_for_line). The panic adds `hint`: where
    /// to look if the line is missing.
    ///
    /// # Panics
    /// Like [`wait_for_line`](Running::wait_for_line).
    #[track_caller]
    pub fn wait_for_line_or(&self, needle: &str, hint: &str) -> String {
        self.lines(&self.tree.stdout, "stdout", needle, 1, hint).swap_remove(0)
    }

    /// Blocks until `count` lines of standard output contain `needle`, and returns
    /// them all.
    ///
    /// # Panics
    /// Like [`wait_for_line`](Running::wait_for_line).
    #[track_caller]
    pub fn wait_for_lines(&self, needle: &str, count: usize) -> Vec<String> {
        self.lines(&self.tree.stdout, "stdout", needle, count, "")
    }

    /// Like [`wait_for_line`](Running::wait_for_line), on standard error.
    ///
    /// # Panics
    /// Like [`wait_for_line`](Running::wait_for_line).
    #[track_caller]
    pub fn wait_for_stderr(&self, needle: &str) -> String {
        self.lines(&self.tree.stderr, "stderr", needle, 1, "").swap_remove(0)
    }

    #[track_caller]
    fn lines(
        &self,
        stream: &Capture,
        name: &str,
        needle: &str,
        count: usize,
        hint: &str,
    ) -> Vec<String> {
        let (mut lines, mut has_ended) = (Vec::new(), false);
        let found = try_eventually(LINE_LIMIT, || {
            // In this order: a line that is printed just before EOF is not missed.
            has_ended = !stream.is_open();
            lines = stream.lines_with(needle);
            (lines.len() >= count || has_ended).then_some(())
        });
        if found.is_some() && lines.len() >= count {
            return lines;
        }
        let when = match has_ended {
            true => "before its end".to_owned(),
            false => format!("within {LINE_LIMIT:?}"),
        };
        let (seen, hint) = (lines.len(), hint.trim_end());
        let newline = if hint.is_empty() { "" } else { "\n" };
        panic!(
            "the program's {name} should have {count} line(s) with {needle:?}, and had {seen} {when}\n\
             {hint}{newline}{}",
            self.describe()
        );
    }

    /// Blocks until it has printed `listening on http://ADDR:PORT`, and returns
    /// that address.
    ///
    /// # Panics
    /// If it does not print it within 10 s, or exits first.
    #[track_caller]
    pub fn addr(&self) -> SocketAddr {
        const PREFIX: &str = "listening on http://";
        let line = self.wait_for_line(PREFIX);
        let (_, text) = line.split_once(PREFIX).expect("the line has it");
        let end = text.find(|c: char| c.is_whitespace() || "/,;)".contains(c));
        let text = &text[..end.unwrap_or(text.len())];
        text.parse().unwrap_or_else(|e| {
            panic!("not an address ({e}): {text:?} in {line:?}")
        })
    }

    /// The port of [`addr`](Running::addr).
    ///
    /// # Panics
    /// Like [`addr`](Running::addr).
    #[track_caller]
    pub fn port(&self) -> u16 {
        self.addr().port()
    }

    /// Why no test of this program may pass: it was killed by the tests, or is about to be
    /// because the time of all tests is up. What the test has seen is then not the program's
    /// doing.
    fn reason_to_fail(&self) -> Option<String> {
        let reason = self.tree.kill_reason().map(str::to_owned);
        reason.or_else(|| time_limit::is_up().then(time_limit::reason))
    }

    /// What the reader of a failure needs to know: whether it runs, or its exit
    /// status; why it was killed, if it was; and the end of what it has printed.
    pub fn describe(&self) -> String {
        let status = self.try_wait();
        if status.is_some() {
            // The last bytes that it wrote may not have been read yet.
            let ended = || self.output_ended().then_some(());
            let _ = clean_up_eventually(OUTPUT_LIMIT, ended);
        }
        let state = match status {
            None => "is running".to_owned(),
            Some(status) if status.signal().is_some() => {
                format!("was killed ({status})")
            }
            Some(status) => format!("has exited ({status})"),
        };
        let killed = match self.reason_to_fail() {
            Some(reason) => format!("The tests have killed it: {reason}\n"),
            None => String::new(),
        };
        let (name, pid) = (&self.name, self.pid());
        let (stdout, stderr) = (tail(&self.stdout()), tail(&self.stderr()));
        format!(
            "{killed}`{name}` (pid {pid}) {state}\n--- its stdout\n{stdout}\n--- its stderr\n{stderr}\n---"
        )
    }
}

impl Drop for Running {
    /// Fails a test whose program was killed by the tests, whatever that test has seen.
    /// Does not panic if it runs because a test has panicked.
    fn drop(&mut self) {
        let failure = self.reason_to_fail().map(|_| self.describe());
        for process in self.tree.kill() {
            let command = process.command_line();
            eprintln!("process {} survived SIGKILL: {command}", process.pid);
        }
        sandbox::kill_orphans();
        // Last, because its pid and group stay its own until it is reaped.
        let _ = lock(&self.child).try_wait();
        if let Some(failure) = failure.filter(|_| !thread::panicking()) {
            panic!("{failure}");
        }
    }
}

/// The end of a long text: it tells most.
fn tail(text: &str) -> String {
    let Some(from) = text.len().checked_sub(SHOWN) else { return text.to_owned() };
    let mut starts = from..;
    let from = starts.find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
    let mark = if from == 0 { "" } else { "[…]" };
    format!("{mark}{}", &text[from..])
}

/// What a program has done, once it has exited.
#[derive(Debug)]
pub struct Output {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Output {
    /// Standard output as one JSON value for each line.
    ///
    /// # Panics
    /// If a line is not JSON.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| json(line)).collect()
    }
}

#[track_caller]
fn json(line: &str) -> Value {
    serde_json::from_str(line)
        .unwrap_or_else(|e| panic!("not JSON ({e}): {line:?}"))
}
