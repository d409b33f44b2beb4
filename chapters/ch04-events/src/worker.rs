//! The children of the tour: each ends in its own way. Without a name of the tour's: an echo.

use std::process::{self, ExitCode};

use ch01_fork_ipc::{RecvError, inherited_channel};
use ch02_balance::wait_for;
use ch03_handles::{Delivery, HandleChannel};
use ch04_events::SignalPipe;
use cli::{Arguments, complain};
use nix::{
    poll::PollFlags,
    sys::signal::{Signal, raise},
};
use serde_json::Value;

/// Does what its name says.
pub fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let name = arguments.worker_name()?;
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    let mut channel = HandleChannel::new(unsafe { inherited_channel() }?)?;
    match name.as_deref() {
        Some("says-hi") => channel.send(&Value::from("hi"))?,
        Some("exits-7") => process::exit(7),
        Some("traps-sigterm") => return trap_sigterm(channel),
        Some("signals-itself") => raise(Signal::SIGTERM)?,
        Some("disconnects") => {
            drop(channel);
            return Ok(ExitCode::from(3));
        }
        Some("waits") => {
            channel.send(&Value::from("ready"))?;
            echo(channel)?;
        }
        _ => echo(channel)?,
    }
    Ok(ExitCode::SUCCESS)
}

// ANCHOR: trap_sigterm
/// Node: `process.on('SIGTERM', () => process.exit(1))`.
fn trap_sigterm(mut channel: HandleChannel) -> anyhow::Result<ExitCode> {
    let mut signals = SignalPipe::new(&[Signal::SIGTERM])?;
    channel.send(&Value::from("ready"))?;
    while signals.take().is_empty() {
        wait_for(&signals, PollFlags::POLLIN, None)?;
    }
    Ok(ExitCode::FAILURE)
}
// ANCHOR_END: trap_sigterm

/// Sends every message back, until the parent closes the channel. A handle is closed.
fn echo(mut channel: HandleChannel) -> anyhow::Result<()> {
    loop {
        match channel.recv() {
            Ok(Some(Delivery::Message(received))) => {
                channel.send_and_wait(&received.message)?
            }
            Ok(Some(Delivery::Wrong(_, wrong))) => complain(wrong),
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) if error.would_block() => {
                wait_for(&channel, channel.interest(), None)?;
            }
            Err(error @ RecvError::Json(_)) => complain(error),
            Err(error) => return Err(error.into()),
        }
    }
}
