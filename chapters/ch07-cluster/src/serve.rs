// ANCHOR: top
//! A worker process, from its start to its exit code.

use std::{io, process::ExitCode};

use anyhow::Context as _;
use ch01_fork_ipc::inherited_channel;
use ch02_balance::FdChannel;
use ch04_events::{SignalPipe, ignore_terminal_signals, survive_parent};
use ch05_restart::Handler;
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::Signal,
};

use crate::event_loop::EventLoop;
// ANCHOR_END: top

// ANCHOR: limits
/// The most connections of a worker, if its descriptors allow that.
pub const MAX_CONNECTIONS: usize = 16 << 10;

/// Handles that may be in flight on a channel.
pub const WINDOW: usize = 64;

/// Descriptors that a worker needs for other things than connections.
const RESERVE: u64 = 64;
// ANCHOR_END: limits

// ANCHOR: serve
/// Serves as a worker: blocks until it has drained, and returns its exit code. Call it
/// at the beginning of `main`, before any thread starts: it changes the environment.
///
/// # Errors
/// If this process has no channel to a parent, and those of a few system calls that
/// fail only if descriptors run out.
pub fn serve(
    handler: impl Handler,
    max_connections: usize,
) -> anyhow::Result<ExitCode> {
    // SAFETY: nothing has started a thread yet, or opened a descriptor.
    let stream = unsafe { inherited_channel() }?;
    ignore_terminal_signals().context("cannot ignore SIGINT")?;
    survive_parent().context("cannot outlive the primary")?;
    let signals =
        SignalPipe::new(&[Signal::SIGTERM]).context("cannot handle SIGTERM")?;
    let channel =
        FdChannel::new(stream, WINDOW).context("cannot use the channel")?;
    let descriptors = raise_descriptor_limit().context("cannot raise a limit")?;
    let room = descriptors.saturating_sub(RESERVE).max(1);
    let max = max_connections.min(usize::try_from(room).unwrap_or(usize::MAX));
    let event_loop = EventLoop::new(handler, channel, signals, max);
    let code = event_loop.and_then(EventLoop::run);
    Ok(ExitCode::from(code.context("cannot wait for connections")?))
}
// ANCHOR_END: serve

// ANCHOR: raise
/// Allows this process as many descriptors as it may allow itself (getrlimit(2)), and
/// returns how many that are.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => Ok(hard),
        Err(_) => Ok(soft),
    }
}
// ANCHOR_END: raise
