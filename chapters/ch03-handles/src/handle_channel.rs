//! A channel whose messages can have a handle with them.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use ch01_fork_ipc::{RecvError, SendError};
use ch02_balance::{FdChannel, Incoming, NotPassed, OpenSocket, Passed, wait_for};
use nix::poll::PollFlags;
use serde_json::Value;

use crate::{Handle, WrongHandle};

/// Chapter 2's channel, with types. It never blocks.
#[derive(Debug)]
pub struct HandleChannel(FdChannel);

/// What comes in.
#[derive(Debug)]
pub enum Delivery {
    /// A message, alone or with a handle.
    Message(Received),
    /// The other side has the oldest handle that was under way.
    Acked,
    /// The other side could not take the handle, three times. The message and the handle come back.
    Refused(Value, OwnedFd),
    /// A message came with something that it was not said to be. That is closed.
    Wrong(Value, WrongHandle),
    /// A handle message came without its descriptor. It was asked for again.
    Missing,
    /// Something between the two channels, and nothing for the program.
    Internal,
}

/// A message, and what came with it.
#[derive(Debug)]
pub struct Received {
    /// The message.
    pub message: Value,
    /// The handle, acknowledged and yours.
    pub handle: Option<Handle>,
    /// Where the sender counts its sockets: keep this as long as the handle.
    pub open: Option<OpenSocket>,
}

impl HandleChannel {
    /// Over `socket`, which is made non-blocking.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(socket: UnixStream) -> io::Result<HandleChannel> {
        Ok(HandleChannel(FdChannel::new(socket)?))
    }

    /// Sends a message, like Node's `send(message)`.
    ///
    /// # Errors
    /// As [`FdChannel::send`].
    pub fn send(&mut self, message: &Value) -> Result<(), SendError> {
        self.0.send(message)
    }

    /// Sends a message, and blocks until all of it has left: so one that answers every message cannot
    /// be made to keep more and more answers. If the other side is gone, that shows in `recv`.
    ///
    /// # Errors
    /// As [`FdChannel::send`], but none because the other side is gone; those of poll(2).
    pub fn send_and_wait(&mut self, message: &Value) -> Result<(), SendError> {
        let mut sent = self.0.send(message);
        while sent.is_ok() && self.0.wants_write() {
            wait_for(self, PollFlags::POLLOUT, None).map_err(SendError::Io)?;
            sent = self.0.pump().map_err(SendError::Io);
        }
        match sent {
            Err(SendError::Io(_)) => Ok(()),
            sent => sent,
        }
    }

    /// Sends a message with a handle, like Node's `send(message, handle)`. Our copy is closed when
    /// the other side has acknowledged it: to keep one, send a `try_clone()`.
    ///
    /// # Errors
    /// As [`FdChannel::pass`].
    pub fn send_handle(
        &mut self,
        message: Value,
        handle: Handle,
    ) -> Result<(), NotPassed> {
        self.0.pass(handle.node_type(), handle.fields(), message, handle.into())
    }

    // ANCHOR: recv
    /// The next message or handle. `Ok(None)` at the end of the stream. Never blocks.
    ///
    /// # Errors
    /// As [`FdChannel::recv`].
    pub fn recv(&mut self) -> Result<Option<Delivery>, RecvError> {
        Ok(self.0.recv()?.map(|incoming| match incoming {
            Incoming::Message(message) => {
                Delivery::Message(Received { message, handle: None, open: None })
            }
            Incoming::Passed(Passed { kind, message, fd, open, .. }) => {
                match Handle::from_fd(&kind, fd) {
                    Ok(handle) => Delivery::Message(Received {
                        message,
                        handle: Some(handle),
                        open,
                    }),
                    Err(wrong) => Delivery::Wrong(message, wrong),
                }
            }
            Incoming::Acked => Delivery::Acked,
            Incoming::Refused(message, fd) => Delivery::Refused(message, fd),
            Incoming::Missing => Delivery::Missing,
            Incoming::Internal => Delivery::Internal,
        }))
    }
    // ANCHOR_END: recv

    /// Ends the channel: see [`FdChannel::into_unacknowledged`].
    pub fn into_unacknowledged(self) -> Vec<(Value, OwnedFd)> {
        self.0.into_unacknowledged()
    }

    /// All bytes that were received as messages.
    pub fn received(&self) -> u64 {
        self.0.received()
    }

    /// Whether a handle was sent that is not acknowledged.
    pub fn awaits_answer(&self) -> bool {
        self.0.awaits_answer()
    }

    /// Whether something waits for the kernel to take it.
    pub fn wants_write(&self) -> bool {
        self.0.wants_write()
    }

    /// What to wait for in poll(2).
    pub fn interest(&self) -> PollFlags {
        self.0.interest()
    }
}

impl AsFd for HandleChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
