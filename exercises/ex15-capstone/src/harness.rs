//! Given: the command line.

#![allow(dead_code)] // The stub uses none of it yet.

use std::process::{Command, ExitCode};
use std::time::Duration;

use ch01_fork_ipc::inherited_channel;
use ch03_handles::HandleChannel;
use ch04_events::{SignalPipe, ignore_terminal_signals, survive_parent};
use cli::{Arguments, Options, unexpected};
use nix::sys::signal::Signal;

use crate::solution::{keep_alive, serve};
use crate::worker_io::Greeter;

const USAGE: &str = "\
Keeps N workers alive, which answer requests and crash, and loses no request.

Usage: ex15-capstone [--addr 127.0.0.1] [--port 1337] [--workers N] [--crash-after K]
                     [--limit MS] [--pause MS] [--longest MS] [--exec PROGRAM ARG...]
       ex15-capstone worker [--crash-after K] [--limit MS]

  --addr ADDR             listen on this address
  --port PORT             listen on this port; 0 takes a free one
  --workers N             1 to 1024 workers; by default, as many as there are CPUs
  --crash-after K         a worker's program fails after its Kth response; 1 by default,
                          0 is never
  --limit MS              how long a worker may drain, 3000 by default; one second later
                          the master kills it
  --pause MS              the pause after a worker that was never ready; it doubles...
  --longest MS            ...up to this. The defaults are 100 and 5000
  --exec PROGRAM ARG...   run PROGRAM as the workers

  worker                  a child: serves the listener that it is sent (needs a channel)
";

/// What to keep alive, and how.
pub struct Plan {
    /// `options.workers` is how many workers are wanted. `options.listen()`
    /// listens, and says so.
    pub options: Options,
    /// The pause after a worker that was never ready. It doubles with each further
    /// one…
    pub first_pause: Duration,
    /// …up to this.
    pub longest_pause: Duration,
    /// How long the workers may take to exit after SIGTERM.
    pub stop_limit: Duration,
    worker: WorkerPlan,
}

/// What a worker is told on its command line.
struct WorkerPlan {
    crash_after: u64,
    limit: Duration,
}

impl Plan {
    /// The command that starts a worker.
    ///
    /// # Errors
    /// If the path of this program's file cannot be read.
    pub fn command(&self) -> anyhow::Result<Command> {
        let mut command = self.options.worker()?;
        if self.options.exec.is_none() {
            let WorkerPlan { crash_after, limit } = &self.worker;
            command.arg("--crash-after").arg(crash_after.to_string());
            command.arg("--limit").arg(limit.as_millis().to_string());
        }
        Ok(command)
    }
}

impl WorkerPlan {
    const DEFAULT: WorkerPlan =
        WorkerPlan { crash_after: 1, limit: Duration::from_secs(3) };

    fn take(
        &mut self,
        word: &str,
        arguments: &mut Arguments,
    ) -> anyhow::Result<bool> {
        match word {
            "--crash-after" => {
                self.crash_after = arguments.number(word, 0, u64::MAX)?;
            }
            "--limit" => self.limit = milliseconds(word, arguments)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn milliseconds(flag: &str, arguments: &mut Arguments) -> anyhow::Result<Duration> {
    Ok(Duration::from_millis(arguments.number(flag, 1, 600_000)?))
}

/// The program: the master, or, with the word `worker`, one of its children.
pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut plan = Plan {
            options: Options::new(&["--addr", "--port", "--workers", "--exec"]),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            stop_limit: Duration::ZERO,
            worker: WorkerPlan::DEFAULT,
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
                word => {
                    if !plan.worker.take(word, &mut arguments)? {
                        plan.options.take(word, &mut arguments)?;
                    }
                }
            }
        }
        plan.stop_limit = plan.worker.limit + Duration::from_secs(1);
        keep_alive(&plan)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// A child.
fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut plan = WorkerPlan::DEFAULT;
    while let Some(word) = arguments.word()? {
        if !plan.take(&word, &mut arguments)? {
            return Err(unexpected(&word));
        }
    }
    // SAFETY: nothing has run yet that could have started a thread or opened a
    // descriptor.
    let channel = HandleChannel::new(unsafe { inherited_channel() }?)?;
    ignore_terminal_signals()?;
    survive_parent()?;
    let signals = SignalPipe::new(&[Signal::SIGTERM])?;
    serve(channel, signals, Greeter::new(plan.crash_after), plan.limit)?;
    Ok(ExitCode::SUCCESS)
}
