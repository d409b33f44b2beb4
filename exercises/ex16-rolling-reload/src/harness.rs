//! Given: reads what happens from standard input, and prints what your policy
//! decides.

#![allow(dead_code)] // The stub uses none of it yet.

use std::fmt::{self, Display};
use std::io::{self, BufRead as _, Write as _};
use std::process;

use crate::solution::Rollout;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The user asks for a reload, by SIGHUP for example.
    Reload,
    /// This worker has started, and serves from now on.
    Ready(u32),
    /// A worker has so much time to become ready. The time of this worker is over.
    Late(u32),
    /// This worker has exited.
    Exited(u32),
}

/// What to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start this worker, with the configuration of this generation.
    Start(u32, u32),
    /// Tell this worker to accept no more, to answer its clients, and to exit.
    Drain(u32),
    /// Kill this worker.
    Kill(u32),
    /// Tell the user: the reload to this generation is done.
    Done(u32),
    /// Tell the user: the reload to this generation has failed, and is undone.
    Undone(u32),
}

impl Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Start(worker, generation) => {
                write!(f, "start {worker} of generation {generation}")
            }
            Action::Drain(worker) => write!(f, "drain {worker}"),
            Action::Kill(worker) => write!(f, "kill {worker}"),
            Action::Done(generation) => write!(f, "done {generation}"),
            Action::Undone(generation) => write!(f, "undone {generation}"),
        }
    }
}

const USAGE: &str = "\
usage, on standard input:
  wanted N       a new server: workers 1 to N are ready, all of generation 1
  reload         the user asks for a reload
  ready WORKER   this worker has started, and serves from now on
  late WORKER    this worker's time to become ready is over
  exit WORKER    this worker has exited
  quiet          from now on, print only what 'count' asks for
  count          print how many workers were started since 'wanted', and the memory used";

/// Reads to the end of standard input.
pub fn run() {
    let (mut policy, mut is_quiet, mut started) = (None, false, 0);
    for line in io::stdin().lock().lines() {
        let line = line.expect("text on standard input");
        let event = match &*line.split_whitespace().collect::<Vec<_>>() {
            ["wanted", number_wanted] => {
                policy = Some(Rollout::new(number(number_wanted)));
                started = 0;
                tell(is_quiet, format_args!("{line}"));
                continue;
            }
            ["quiet"] => {
                is_quiet = true;
                continue;
            }
            ["count"] => {
                tell(false, format_args!("{started} started, {} KiB", memory()));
                continue;
            }
            ["reload"] => Event::Reload,
            ["ready", worker] => Event::Ready(number(worker)),
            ["late", worker] => Event::Late(number(worker)),
            ["exit", worker] => Event::Exited(number(worker)),
            _ => refuse(&line),
        };
        let Some(policy) = &mut policy else {
            refuse("the first line is 'wanted N'")
        };
        let actions = policy.step(event);
        started +=
            actions.iter().filter(|it| matches!(it, Action::Start(..))).count();
        if !is_quiet {
            let words: Vec<String> =
                actions.iter().map(ToString::to_string).collect();
            let words = match words.is_empty() {
                true => "nothing".to_owned(),
                false => words.join(", "),
            };
            tell(false, format_args!("{line}: {words}"));
        }
    }
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| refuse(word))
}

/// How much memory this process uses, in KiB (proc_pid_status(5)).
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn tell(is_quiet: bool, what: fmt::Arguments<'_>) {
    if !is_quiet {
        let _ = writeln!(io::stdout(), "{what}");
    }
}

fn refuse(what: &str) -> ! {
    eprintln!("not understood: {what}\n{USAGE}");
    process::exit(2)
}
