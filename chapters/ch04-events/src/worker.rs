// ANCHOR: imports
//! The child: an echo, or one of the tour's children, which exit in different ways.

use std::{
    io,
    os::fd::AsFd,
    process::{self, ExitCode},
};

use ch01_fork_ipc::{SendError, inherited_channel};
use ch02_balance::{Received, poll_tokens};
use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;
use cli::{Arguments, complain};
use nix::{
    poll::{PollFd, PollFlags},
    sys::signal::{Signal, raise},
};
use serde_json::Value;
// ANCHOR_END: imports

// ANCHOR: run
/// Does what the child of the tour with this name does. Without such a name: an
/// echo.
pub fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let name = arguments.worker_name()?;
    // SAFETY: nothing has run yet that could have started a thread or opened a
    // descriptor.
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
// ANCHOR_END: run

// ANCHOR: trap_sigterm
/// Node: `process.on('SIGTERM', () => process.exit(1))`.
fn trap_sigterm(mut channel: HandleChannel) -> anyhow::Result<ExitCode> {
    let mut signals = SignalPipe::new(&[Signal::SIGTERM])?;
    channel.send(&Value::from("ready"))?;
    while signals.take().is_empty() {
        wait_for(&signals, PollFlags::POLLIN)?;
    }
    Ok(ExitCode::FAILURE)
}
// ANCHOR_END: trap_sigterm

// ANCHOR: echo
/// Sends every message back, until the parent closes the channel. A handle is
/// closed.
fn echo(mut channel: HandleChannel) -> anyhow::Result<()> {
    loop {
        wait_for(&channel, channel.interest())?;
        for received in channel.receive() {
            match received {
                Received::Message(message) | Received::Handle(message, _) => {
                    send(&mut channel, &message)?;
                }
                Received::Acked
                | Received::Internal(_)
                | Received::Returned(..) => {}
                Received::Ignored(why) => complain(why),
                Received::Closed(None) => return Ok(()),
                Received::Closed(Some(error)) => return Err(error.into()),
            }
        }
    }
}
// ANCHOR_END: echo

// ANCHOR: send
/// Sends a message. Blocks while the parent does not read.
fn send(channel: &mut HandleChannel, message: &Value) -> anyhow::Result<()> {
    loop {
        match channel.send(message) {
            Err(SendError::Full) => {}
            sent => return Ok(sent?),
        }
        wait_for(channel, PollFlags::POLLOUT)?;
        channel.pump();
    }
}

/// Blocks until `fd` is ready.
fn wait_for(fd: &impl AsFd, events: PollFlags) -> io::Result<()> {
    poll_tokens(vec![((), PollFd::new(fd.as_fd(), events))], None).map(drop)
}
// ANCHOR_END: send
