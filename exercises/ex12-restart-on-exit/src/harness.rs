//! Given: the command line, and workers to keep alive.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{self, Command, ExitCode};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ch01_fork_ipc::inherited_channel;
use ch02_balance::poll_tokens;
use ch04_events::SignalPipe;
use cli::{Arguments, Options, say, unexpected, wrong};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::solution::keep_alive;

const USAGE: &str = "\
Keeps a worker alive for each NAME.

Usage: ex12-restart-on-exit [--pause MS] [--longest MS] [--stop-limit MS] NAME=KIND...

  --pause MS        the pause after the first failure of a name; it doubles with each...
  --longest MS      ...up to this. The defaults are 100 and 5000
  --stop-limit MS   how long the workers may take to exit after SIGTERM; 3000 by default

A worker's KIND says what it does:

  good         says \"ready\"; at SIGTERM it needs 200 ms, and then exits
  fails        exits before it is ready
  needs-go     is good if a file with its NAME is in the folder $GO; if not, it fails
  silent       runs until SIGTERM, and never says \"ready\"
  deaf         says \"ready\", and ignores SIGTERM
  hangs-up     says \"ready\", closes its channel, and runs on
  has-helper   is good, and starts a helper that holds its channel for a minute
  a path       is run with NAME as its argument: web=/usr/local/bin/server
";

const KINDS: [&str; 7] =
    ["good", "fails", "needs-go", "silent", "deaf", "hangs-up", "has-helper"];

/// Which workers to keep alive, and how.
pub struct Plan {
    /// The names of the workers.
    pub names: Vec<String>,
    /// The pause after the first failure of a name. It doubles with each further
    /// one…
    pub first_pause: Duration,
    /// …up to this.
    pub longest_pause: Duration,
    /// How long the workers may take to exit after SIGTERM.
    pub stop_limit: Duration,
    /// The kind of each worker, in the order of the names.
    kinds: Vec<String>,
    options: Options,
}

impl Plan {
    /// The command that starts the worker with this name. A worker that is ready
    /// sends the message `"ready"`.
    ///
    /// # Errors
    /// If the path of this program's file cannot be read.
    ///
    /// # Panics
    /// If no worker has this name.
    pub fn command(&self, name: &str) -> anyhow::Result<Command> {
        let index = self.names.iter().position(|known| known == name);
        let kind = &self.kinds[index.expect("a name of the plan")];
        if kind.contains('/') {
            let mut command = Command::new(kind);
            command.arg(name);
            return Ok(command);
        }
        let mut command = self.options.worker()?;
        command.args([name, kind]);
        Ok(command)
    }

    fn add(&mut self, word: &str) -> anyhow::Result<()> {
        let Some((name, kind)) = word.split_once('=') else {
            return Err(unexpected(word));
        };
        if !kind.contains('/') && !KINDS.contains(&kind) {
            return Err(wrong(format_args!("there is no kind '{kind}'")));
        }
        if self.names.iter().any(|known| known == name) {
            return Err(wrong(format_args!("there are two workers '{name}'")));
        }
        self.names.push(name.to_owned());
        self.kinds.push(kind.to_owned());
        Ok(())
    }
}

/// The program: the parent, or, with the word `worker`, one of its children.
pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut plan = Plan {
            names: Vec::new(),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            stop_limit: Duration::from_secs(3),
            kinds: Vec::new(),
            options: Options::new(&[]),
        };
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return worker(arguments),
                "--pause" => {
                    plan.first_pause = milliseconds(&word, &mut arguments)?
                }
                "--longest" => {
                    plan.longest_pause = milliseconds(&word, &mut arguments)?;
                }
                "--stop-limit" => {
                    plan.stop_limit = milliseconds(&word, &mut arguments)?;
                }
                other => plan.add(other)?,
            }
        }
        if plan.names.is_empty() {
            return Err(wrong("no worker: name one, such as web=good"));
        }
        keep_alive(&plan)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn milliseconds(flag: &str, arguments: &mut Arguments) -> anyhow::Result<Duration> {
    Ok(Duration::from_millis(arguments.number(flag, 1, 600_000)?))
}

/// A child. Its command line is `worker NAME KIND`.
fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (Some(name), Some(kind)) = (arguments.word()?, arguments.word()?) else {
        return Err(wrong("a worker needs a name and a kind"));
    };
    // SAFETY: nothing has run yet that could have started a thread or opened a
    // descriptor.
    let mut channel = unsafe { inherited_channel() }?;
    let signals = SignalPipe::new(&[Signal::SIGTERM])?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis();
    say(format_args!("{name} {} starts at {now} ms", process::id()));
    match &*kind {
        "fails" => return Ok(ExitCode::from(3)),
        "needs-go" if !has_go(&name) => return Ok(ExitCode::from(3)),
        // SAFETY: an ignored signal runs no code of ours.
        "deaf" => drop(unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }?),
        "has-helper" => start_helper(&channel)?,
        _ => {}
    }
    if kind != "silent" {
        channel.write_all(b"\"ready\"\n")?;
        // Only now: a test may kill this worker when it sees the line.
        say(format_args!("{name} {} is ready", process::id()));
    }
    if kind == "hangs-up" {
        drop(channel);
    }
    wait_for(&signals)?;
    thread::sleep(Duration::from_millis(200));
    say(format_args!("{name} {} says goodbye", process::id()));
    Ok(ExitCode::SUCCESS)
}

/// Blocks until a signal arrives.
fn wait_for(signals: &SignalPipe) -> io::Result<()> {
    loop {
        let polled = PollFd::new(signals.as_fd(), PollFlags::POLLIN);
        if !poll_tokens(vec![((), polled)], None)?.is_empty() {
            return Ok(());
        }
    }
}

/// Whether the folder that is named in the variable `GO` has a file with this name.
fn has_go(name: &str) -> bool {
    std::env::var_os("GO").is_some_and(|dir| Path::new(&dir).join(name).exists())
}

/// The helper inherits the channel, and so it holds it open.
fn start_helper(channel: &UnixStream) -> io::Result<()> {
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Command::new("sleep").arg("60").spawn().map(drop)
}
