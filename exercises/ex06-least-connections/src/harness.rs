//! Given: asks your part with numbers alone, or puts it into a server.

#[path = "harness/parent.rs"]
mod parent;
#[path = "harness/worker.rs"]
mod worker;

use std::io::stdin;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use ch01_fork_ipc::inherited_channel;
use ch02_balance::FdChannel;
use cli::{Arguments, Options, say};

use crate::solution::{LeastConnections, Loads};

const USAGE: &str = "\
Accepts connections, and sends each to the worker with the fewest.

Usage: ex06-least-connections [--addr 127.0.0.1] [--port 1337] [--workers N] [--limit N]
       ex06-least-connections policy
       ex06-least-connections worker

  --addr ADDR    listen on this address
  --port PORT    listen on this port; 0 takes a free one
  --workers N    1 to 1024 workers; the default is the number of CPUs
  --limit N      a worker with N connections is full; the default is 100
  --help         show this

  policy         does what the lines of standard input say, without processes:
                   pick 2 0 -    which worker is picked, if they have so many connections?
                                 '-' is a worker that is full or has exited
                   workers 3 4   new books: 3 workers, and 4 connections are the limit
                   opened 1      worker 1 was sent a connection
                   closed 1      worker 1 has closed one; likewise: exited 1, respawned 1
                   loads         show the books
  worker         a child: holds the connections that it receives (needs a channel)

A client says for how many milliseconds a worker is to hold its connection.
";

pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--addr", "--port", "--workers"]);
        let mut limit = 100;
        while let Some(word) = arguments.word()? {
            match &*word {
                "policy" => return policy(arguments),
                "worker" => return work(arguments),
                "--limit" => limit = arguments.number("--limit", 1, 4096)?,
                other => options.take(other, &mut arguments)?,
            }
        }
        parent::balance(&options, limit)
    })
}

fn work(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    arguments.worker_name()?;
    // SAFETY: no thread has been started yet, and no descriptor opened.
    let stream = unsafe { inherited_channel() }?;
    worker::hold(FdChannel::new(stream, 1)?)
}

/// Your part without a server around it.
fn policy(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    arguments.worker_name()?;
    let (mut policy, mut books) = (LeastConnections::default(), None);
    for line in stdin().lines() {
        let line = line?;
        let (command, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let numbers: Vec<Option<usize>> =
            rest.split_whitespace().map(|word| word.parse().ok()).collect();
        match (command, &numbers[..], &mut books) {
            ("pick", loads, _) => match policy.pick(loads) {
                Some(worker) => say(format_args!("pick: {worker}")),
                None => say("pick: none"),
            },
            ("workers", [Some(workers), Some(limit)], _) => {
                books = Some(Loads::new(*workers, *limit));
            }
            ("opened", [Some(worker)], Some(books)) => books.opened(*worker),
            ("closed", [Some(worker)], Some(books)) => books.closed(*worker),
            ("exited", [Some(worker)], Some(books)) => books.exited(*worker),
            ("respawned", [Some(worker)], Some(books)) => books.respawned(*worker),
            ("loads", [], Some(books)) => say(show(&books.available())),
            (_, _, None) => bail!("begin with: workers 3 4"),
            _ => {
                return Err(anyhow!("see --help"))
                    .with_context(|| format!("'{line}'"));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `loads: 2 0 -`
fn show(loads: &[Option<usize>]) -> String {
    let shown =
        loads.iter().map(|it| it.map_or("-".to_owned(), |open| open.to_string()));
    format!("loads: {}", shown.collect::<Vec<_>>().join(" "))
}
