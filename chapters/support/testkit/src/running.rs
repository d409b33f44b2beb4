//! A program that was started.

use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::capture::Capture;
use crate::cell;
use crate::family::Family;
use crate::lock;
use crate::processes::{Process, children_of, descendants_of};
use crate::program::Output;
use crate::wait::try_eventually;

/// How long a program that has ended may take to be read to its last word.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// A running program. Dropping it kills it and everything that came of it.
///
/// All methods take `&self`, so several threads can look at it at once.
pub struct Running {
    name: String,
    child: Mutex<Child>,
    family: Arc<Family>,
    pub(crate) stdout: Arc<Capture>,
    pub(crate) stderr: Arc<Capture>,
}

impl Running {
    pub(crate) fn new(name: String, child: Child, family: Arc<Family>) -> Running {
        let [stdout, stderr] = family.printed.clone();
        Running { name, child: Mutex::new(child), family, stdout, stderr }
    }

    /// Its process id, which is its group's too.
    pub fn pid(&self) -> i32 {
        self.family.leader.pid
    }

    /// The process that was started.
    pub fn process(&self) -> Process {
        self.family.leader
    }

    /// Its living children, oldest first.
    pub fn children(&self) -> Vec<Process> {
        self.below(children_of)
    }

    /// Its living children, their children, and so on, oldest first.
    pub fn descendants(&self) -> Vec<Process> {
        self.below(descendants_of)
    }

    /// Every living process that came of it, itself included, oldest first. Finds orphans too,
    /// also when they have left the process group.
    pub fn processes(&self) -> Vec<Process> {
        self.family.living()
    }

    /// Sends a signal to the program alone, not to its group.
    ///
    /// # Panics
    /// When it has been waited for: its number may belong to another process by now.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        // Whoever reaps it takes this lock, so the number stays its own for as long as we hold it.
        let child = lock(&self.child);
        if !self.family.leader.exists() {
            drop(child);
            panic!(
                "cannot send {signal}: it has ended and was waited for\n{}",
                self.describe()
            );
        }
        kill(Pid::from_raw(self.pid()), signal).unwrap_or_else(|e| {
            panic!("cannot send {signal} to {}: {e}", self.name)
        });
    }

    /// How it ended, or `None` while it runs. Never blocks.
    pub fn try_wait(&self) -> Option<ExitStatus> {
        let mut child = lock(&self.child);
        if self.family.leader.exists() && !self.family.leader.alive() {
            // Its number is free once it is reaped: see who is in its group while that is sure.
            self.family.living();
        }
        child.try_wait().expect("our own child can be waited for")
    }

    /// Whether nothing more can be printed: nobody holds its output open.
    pub fn output_ended(&self) -> bool {
        !self.stdout.is_open() && !self.stderr.is_open()
    }

    /// Blocks until it has ended, and returns how.
    ///
    /// # Panics
    /// When it has not ended `within` that time. Dropping it then kills it.
    #[track_caller]
    pub fn wait(&self, within: Duration) -> ExitStatus {
        match try_eventually(within, || self.try_wait()) {
            Some(status) => status,
            None => {
                panic!("should have ended within {within:?}\n{}", self.describe())
            }
        }
    }

    /// Blocks until it has ended and its output too.
    #[track_caller]
    pub(crate) fn finish(self, limit: Duration) -> Output {
        let ended = || self.try_wait().filter(|_| self.output_ended());
        let status = try_eventually(limit, ended);
        assert!(self.family.verdict().is_none(), "{}", self.describe());
        match status {
            Some(status) => {
                Output { status, stdout: self.stdout(), stderr: self.stderr() }
            }
            None if self.try_wait().is_some() => panic!(
                "ended, but after {limit:?} something that it started still holds its output\n{}",
                self.describe()
            ),
            None => {
                panic!("should have ended within {limit:?}\n{}", self.describe())
            }
        }
    }

    /// Whom `look` finds below us. The kit remembers everyone, to kill them if need be.
    fn below(&self, look: fn(i32) -> Vec<Process>) -> Vec<Process> {
        self.family.living();
        if self.family.leader.exists() { look(self.pid()) } else { Vec::new() }
    }

    /// What a reader of a failure has to know: whether it runs or how it ended, and the end of what it
    /// has printed.
    pub fn describe(&self) -> String {
        let status = self.try_wait();
        if status.is_some() {
            // Its last words may be on their way.
            let _ =
                try_eventually(LAST_WORDS, || self.output_ended().then_some(()));
        }
        let state = status
            .map_or("runs".to_owned(), |status| format!("has ended ({status})"));
        let (name, pid) = (&self.name, self.pid());
        let (out, err) = (clipped(&self.stdout()), clipped(&self.stderr()));
        let ended = cell::story(&self.family);
        format!(
            "{ended}`{name}` (pid {pid}) {state}\n--- its stdout\n{out}\n--- its stderr\n{err}\n---"
        )
    }
}

/// The end of a long text: what came last tells most.
fn clipped(text: &str) -> String {
    const MOST: usize = 4 << 10;
    match text.len().checked_sub(MOST) {
        None | Some(0) => text.to_owned(),
        Some(from) => {
            let from = (from..)
                .find(|&at| text.is_char_boundary(at))
                .unwrap_or(text.len());
            format!("[…]{}", &text[from..])
        }
    }
}

impl Drop for Running {
    /// Never panics: it may run because a test has.
    fn drop(&mut self) {
        for process in self.family.kill() {
            eprintln!(
                "{} has survived SIGKILL: {}",
                process.pid,
                process.command_line()
            );
        }
        // Only now: as long as it is not reaped, its number and its group are its own.
        let _ = lock(&self.child).try_wait();
    }
}
