//! What the user sees while it measures: on a terminal one line that changes,
//! otherwise a line for each section.

use std::{
    io::{self, IsTerminal as _, Write as _},
    time::Instant,
};

/// Progress of a run, on standard error.
#[derive(Debug)]
pub struct Progress {
    is_terminal: bool,
    began: Instant,
    title: &'static str,
    done: usize,
    expected: usize,
}

impl Progress {
    pub fn new() -> Progress {
        let is_terminal = io::stderr().is_terminal();
        let began = Instant::now();
        Progress { is_terminal, began, title: "", done: 0, expected: 0 }
    }

    /// A section begins.
    pub fn section(&mut self, title: &'static str) {
        (self.title, self.done) = (title, 0);
        let seconds = self.began.elapsed().as_secs();
        if !self.is_terminal {
            eprintln!("{seconds:>4} s  {title}");
        }
    }

    /// The section has this many steps.
    pub fn expect(&mut self, steps: usize) {
        self.expected = steps;
    }

    /// A step begins.
    pub fn step(&mut self, round: usize, what: &str) {
        self.done += 1;
        if self.is_terminal {
            let Progress { title, done, expected, .. } = self;
            let round = round + 1;
            eprint!(
                "\r\x1b[K{title}: {done} of {expected} (round {round}, {what})"
            );
            let _ = io::stderr().flush();
        }
    }

    /// The run is over.
    pub fn end(&self) {
        let seconds = self.began.elapsed().as_secs();
        let line = if self.is_terminal { "\r\x1b[K" } else { "" };
        eprintln!("{line}measured in {seconds} s");
    }
}
