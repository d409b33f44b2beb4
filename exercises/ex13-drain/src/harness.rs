//! Given: the command line.

use std::process::ExitCode;
use std::time::Duration;

use ch01_fork_ipc::inherited_channel;
use ch03_handles::HandleChannel;
use ch04_events::{SignalPipe, ignore_terminal_signals};
use cli::{unexpected, wrong};
use nix::sys::signal::Signal;

use crate::solution::serve;
use crate::worker_io::Greeter;

const USAGE: &str = "\
A worker that answers requests, and can be drained.

Usage: ex13-drain worker [--crash-after K] [--limit MS]

It is started by a parent, which gives it a channel and sends it the listener. The master of
chapter 5 is such a parent:

  cargo run -p ch05-restart -- --workers 1 --exec target/debug/ex13-drain worker

  --crash-after K   the worker's program fails after its Kth response; by default, never
  --limit MS        how long the worker may drain; 3000 by default
";

/// The program.
pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        match arguments.word()?.as_deref() {
            Some("worker") => {}
            Some(other) => return Err(unexpected(other)),
            None => return Err(wrong("there is nothing to do but 'worker'")),
        }
        let (mut crash_after, mut limit) = (0, 3000);
        while let Some(word) = arguments.word()? {
            match &*word {
                "--crash-after" => {
                    crash_after = arguments.number(&word, 0, u64::MAX)?
                }
                "--limit" => limit = arguments.number(&word, 1, 600_000)?,
                other => return Err(unexpected(other)),
            }
        }
        // SAFETY: nothing has run yet that could have started a thread or opened a
        // descriptor.
        let channel = HandleChannel::new(unsafe { inherited_channel() }?)?;
        ignore_terminal_signals()?;
        let signals = SignalPipe::new(&[Signal::SIGTERM])?;
        let program = Greeter::new(crash_after);
        serve(channel, signals, program, Duration::from_millis(limit))?;
        Ok(ExitCode::SUCCESS)
    })
}
