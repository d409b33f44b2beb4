//! Given: the command line, and workers to keep alive.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io::{self, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{self, Command, ExitCode};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ch01_fork_ipc::inherited_channel;
use ch02_balance::wait_for;
use ch04_events::SignalPipe;
use cli::{Arguments, Options, say, wrong};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::solution::keep_alive;

const USAGE: &str = "\
Keeps N workers alive.

Usage: PROGRAM [--workers N] [--kind KIND] [--pause MS] [--longest MS] [--exec PROGRAM ARG...]

  --workers N             1 to 1024 workers; as many as there are CPUs, where not given
  --pause MS              the pause after a worker that was never ready; it doubles...
  --longest MS            ...up to this. Where not given: 100 ms, and 5000 ms
  --exec PROGRAM ARG...   run PROGRAM as the workers
  --kind KIND             how a worker behaves. Where not given: it says that it is ready, and lives
                          until it gets SIGTERM. Then it takes 200 ms to say goodbye

    fails        ends before it is ready
    needs-go     fails, unless there is a file with the name that is in the variable GO
    deaf         ignores SIGTERM
    hangs-up     closes its channel, and lives on
    has-helper   starts a helper, which holds the worker's channel for a minute
";

const KINDS: [&str; 5] = ["fails", "needs-go", "deaf", "hangs-up", "has-helper"];

/// How long workers may take to end, once they were sent SIGTERM.
pub const STOP_LIMIT: Duration = Duration::from_secs(1);

/// What is to be kept alive.
pub struct Plan {
    /// How many workers.
    pub workers: usize,
    /// The pause after a worker that was never ready. It doubles with each that follows...
    pub first_pause: Duration,
    /// ...up to this.
    pub longest_pause: Duration,
    kind: Option<String>,
    options: Options,
}

impl Plan {
    /// The command that starts a worker. A worker that is ready says so with the message `"ready"`.
    ///
    /// # Errors
    /// When the system cannot tell where this program's file is.
    pub fn command(&self) -> anyhow::Result<Command> {
        let mut command = self.options.worker()?;
        command.args(&self.kind);
        Ok(command)
    }
}

/// The program: the parent, or, with the word `worker`, one of its children.
pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut plan = Plan {
            workers: 0,
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            kind: None,
            options: Options::new(&["--workers", "--exec"]),
        };
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return worker(arguments),
                "--kind" => plan.kind = Some(kind(&mut arguments)?),
                "--pause" => {
                    plan.first_pause = milliseconds("--pause", &mut arguments)?
                }
                "--longest" => {
                    plan.longest_pause = milliseconds("--longest", &mut arguments)?
                }
                other => plan.options.take(other, &mut arguments)?,
            }
        }
        plan.workers = plan.options.workers;
        keep_alive(&plan)?;
        Ok(ExitCode::SUCCESS)
    })
}

fn milliseconds(flag: &str, arguments: &mut Arguments) -> anyhow::Result<Duration> {
    Ok(Duration::from_millis(arguments.number(flag, 1, 60_000)?))
}

fn kind(arguments: &mut Arguments) -> anyhow::Result<String> {
    let kind = arguments.value()?;
    let known = KINDS.contains(&kind.as_str());
    known.then_some(kind).ok_or_else(|| wrong("--kind takes one of those below"))
}

/// A child.
fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let kind = arguments.worker_name()?;
    let kind = kind.as_deref().unwrap_or_default();
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    let mut channel = unsafe { inherited_channel() }?;
    let signals = SignalPipe::new(&[Signal::SIGTERM])?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    say(format_args!("worker {} starts at {} ms", process::id(), now.as_millis()));

    let go =
        || std::env::var_os("GO").is_some_and(|file| Path::new(&file).exists());
    if kind == "fails" || kind == "needs-go" && !go() {
        return Ok(ExitCode::from(3));
    }
    if kind == "deaf" {
        // SAFETY: to ignore a signal runs no code of ours.
        unsafe { signal(Signal::SIGTERM, SigHandler::SigIgn) }?;
    }
    if kind == "has-helper" {
        start_helper(&channel)?;
    }
    channel.write_all(b"\"ready\"\n")?;
    say(format_args!("worker {} is ready", process::id()));
    if kind == "hangs-up" {
        drop(channel);
    }
    wait_for(&signals, PollFlags::POLLIN, None)?;
    thread::sleep(Duration::from_millis(200));
    say(format_args!("worker {} says goodbye", process::id()));
    Ok(ExitCode::SUCCESS)
}

/// The helper inherits the channel, and with it holds it open.
fn start_helper(channel: &UnixStream) -> io::Result<()> {
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    Command::new("sleep").arg("60").spawn().map(drop)
}
