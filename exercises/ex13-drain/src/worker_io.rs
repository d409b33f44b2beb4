//! Given, here and in the capstone: what a worker waits for, and what it hears.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::time::Instant;

use ch01_fork_ipc::RecvError;
use ch02_balance::poll_until;
use ch03_handles::{Delivery, Handle, HandleChannel};
use ch04_events::SignalPipe;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, poll};

/// Blocks until one of these can go on, or until `until`.
///
/// # Errors
/// Those of poll(2); none is expected.
pub fn wait_for_any<'a>(
    channel: Option<&'a HandleChannel>,
    signals: &'a SignalPipe,
    listener: Option<&'a TcpListener>,
    connections: impl Iterator<Item = PollFd<'a>>,
    until: Option<Instant>,
) -> io::Result<()> {
    let mut polled: Vec<PollFd> = connections.collect();
    polled.push(PollFd::new(signals.as_fd(), PollFlags::POLLIN));
    polled.extend(channel.map(|it| PollFd::new(it.as_fd(), it.interest())));
    polled.extend(listener.map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)));
    match poll(&mut polled, poll_until(until)) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What has come through the channel.
pub enum Heard {
    /// The listener to serve.
    Listener(TcpListener),
    /// Nothing that a worker needs to know.
    Nothing,
    /// The end of the channel. poll(2) would report it again and again.
    ParentIsGone,
}

/// Hears what the parent has sent. Does not block.
pub fn hear(channel: &mut HandleChannel) -> Heard {
    loop {
        match channel.recv() {
            Ok(Some(Delivery::Message(received))) => {
                if let Some(Handle::TcpListener(listener)) = received.handle {
                    // Several workers may be woken for one connection: all but one find nothing.
                    listener.set_nonblocking(true).expect("a listener takes it");
                    return Heard::Listener(listener);
                }
            }
            // Of no use, and no end.
            Ok(Some(_)) | Err(RecvError::Json(_)) => {}
            Err(error) if error.would_block() => return Heard::Nothing,
            Ok(None) | Err(_) => return Heard::ParentIsGone,
        }
    }
}
