//! Given: reads what happens from standard input, and prints what your policy
//! decides.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io::{self, BufRead as _, Write as _};
use std::process;
use std::time::Duration;

use crate::solution::RestartLimit;

/// What happens to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// This worker announces that it will exit, and asks to be replaced. In chapter
    /// 5 that is the message `{"act":"suicide"}`.
    Draining(u32),
    /// This worker has exited.
    Exited(u32, ExitStatus),
}

/// How a worker has exited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// By itself, with this code.
    Code(i32),
    /// This signal has killed it.
    Signal(i32),
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start another worker. Workers have numbers; none is used twice.
    Start,
    /// Nothing.
    Nothing,
    /// Start no more workers, and exit: restarting does not help.
    GiveUp,
}

const USAGE: &str = "\
usage, on standard input:
  limit MOST MS      a new policy: at most MOST restarts in MS milliseconds. Workers 1 to 9 run
  MS WORKER drain    at MS milliseconds, this worker announces that it will exit
  MS WORKER exit N   at MS milliseconds, it has exited, with code N
  MS WORKER kill N   at MS milliseconds, signal N has killed it
  quiet              from now on, print only what 'count' asks for
  count              print how many workers were started since 'limit', and the memory used";

/// Workers 1 to 9 run when a policy begins.
const FIRST_NEW: u32 = 10;

/// Reads to the end of standard input. The time is in the script, so nothing waits
/// for it.
pub fn run() {
    let (mut policy, mut next, mut started, mut quiet) =
        (None, FIRST_NEW, 0, false);
    for line in io::stdin().lock().lines() {
        let line = line.expect("text on standard input");
        match &*line.split_whitespace().collect::<Vec<_>>() {
            ["limit", most, window] => {
                policy =
                    Some(RestartLimit::new(number(most), milliseconds(window)));
                (next, started) = (FIRST_NEW, 0);
                tell(quiet, format_args!("limit {most} {window}"));
            }
            ["quiet"] => quiet = true,
            ["count"] => {
                tell(false, format_args!("{started} started, {} KiB", memory()))
            }
            [now, worker, what @ ..] => {
                let Some(policy) = &mut policy else {
                    refuse("the first line is 'limit'")
                };
                match policy.step(milliseconds(now), event(number(worker), what)) {
                    Action::Start => {
                        tell(quiet, format_args!("{now} start {next}"));
                        next += 1;
                        started += 1;
                    }
                    Action::Nothing => tell(quiet, format_args!("{now} nothing")),
                    Action::GiveUp => tell(quiet, format_args!("{now} give up")),
                }
            }
            _ => refuse(&line),
        }
    }
}

fn event(worker: u32, what: &[&str]) -> Event {
    match what {
        ["drain"] => Event::Draining(worker),
        ["exit", code] => Event::Exited(worker, ExitStatus::Code(number(code))),
        ["kill", signal] => {
            Event::Exited(worker, ExitStatus::Signal(number(signal)))
        }
        _ => refuse(&what.join(" ")),
    }
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| refuse(word))
}

fn milliseconds(word: &str) -> Duration {
    Duration::from_millis(number(word))
}

/// How much memory this process uses, in KiB (proc_pid_status(5)).
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn tell(quiet: bool, what: std::fmt::Arguments<'_>) {
    if !quiet {
        let _ = writeln!(io::stdout(), "{what}");
    }
}

fn refuse(what: &str) -> ! {
    eprintln!("not understood: {what}\n{USAGE}");
    process::exit(2)
}
