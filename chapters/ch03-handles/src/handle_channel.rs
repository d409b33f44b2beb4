//! A channel whose handles have types.

use std::{
    io,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use ch01_fork_ipc::SendError;
use ch02_balance::{FdChannel, RawHandle, Received, SendHandleError};
use nix::poll::PollFlags;
use serde_json::{Value, json};

use crate::Handle;

/// Chapter 2's channel with types: it sends and receives a [`Handle`] in place of a bare
/// descriptor. It never blocks.
#[derive(Debug)]
pub struct HandleChannel(FdChannel);

impl HandleChannel {
    /// A channel over `socket`, with one handle in flight at a time, as in Node.
    ///
    /// # Errors
    /// Those of fcntl(2): the socket is made non-blocking.
    pub fn new(socket: UnixStream) -> io::Result<HandleChannel> {
        Ok(HandleChannel(FdChannel::new(socket, 1)?))
    }

    /// Sends a message, like Node's `send(message)`.
    ///
    /// # Errors
    /// As [`FdChannel::send`].
    pub fn send(&mut self, message: &Value) -> Result<(), SendError> {
        self.0.send(message)
    }

    /// Sends a message with a handle, like Node's `send(message, handle)`. Our copy of the
    /// descriptor is closed when the peer has acknowledged it: to keep a listener, send a
    /// `try_clone()` of it.
    ///
    /// # Errors
    /// As [`FdChannel::send_handle`]: the descriptor comes back.
    pub fn send_handle(
        &mut self,
        message: Value,
        handle: Handle,
    ) -> Result<(), SendHandleError> {
        let kind = handle.node_type();
        let mut envelope =
            json!({"cmd": "NODE_HANDLE", "type": kind, "msg": message});
        if let Handle::Udp(socket) = &handle {
            let v6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
            envelope["dgramType"] = if v6 { "udp6" } else { "udp4" }.into();
        }
        self.0.send_envelope(&envelope, handle.into())
    }

    /// Writes what may leave and reads what has arrived, as [`FdChannel::receive`] does. A
    /// handle that is not what its envelope says is closed, and reported as `Ignored`.
    pub fn receive(&mut self) -> Vec<Received<Handle>> {
        self.0.receive().into_iter().map(typed).collect()
    }

    /// Ends the channel once everything that was sent has left: see
    /// [`FdChannel::disconnect`].
    ///
    /// # Errors
    /// As [`FdChannel::disconnect`].
    pub fn disconnect(&mut self) -> Result<(), SendError> {
        self.0.disconnect()
    }

    /// Whether [`disconnect`](HandleChannel::disconnect) is complete.
    pub fn is_disconnected(&self) -> bool {
        self.0.is_disconnected()
    }

    /// Ends the channel now: see [`FdChannel::into_unacknowledged`].
    pub fn into_unacknowledged(self) -> Vec<(Value, OwnedFd)> {
        self.0.into_unacknowledged()
    }

    /// Writes what may leave. [`receive`](HandleChannel::receive) does it, too.
    pub fn pump(&mut self) {
        self.0.pump();
    }

    /// What to wait for in poll(2), before [`receive`](HandleChannel::receive).
    pub fn interest(&self) -> PollFlags {
        self.0.interest()
    }
}

/// Asks the kernel what arrived.
fn typed(received: Received<RawHandle>) -> Received<Handle> {
    match received {
        Received::Handle(message, raw) => {
            match Handle::from_fd(&raw.kind, raw.fd) {
                Ok(handle) => Received::Handle(message, handle),
                Err(wrong) => Received::Ignored(wrong.to_string()),
            }
        }
        Received::Message(message) => Received::Message(message),
        Received::Acked => Received::Acked,
        Received::Returned(message, fd) => Received::Returned(message, fd),
        Received::Ignored(why) => Received::Ignored(why),
        Received::Closed(error) => Received::Closed(error),
    }
}

impl AsFd for HandleChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
