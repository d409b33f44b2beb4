// ANCHOR: head
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
// ANCHOR_END: head

// ANCHOR: channel
/// Chapter 2's channel with types: it sends and receives a [`Handle`] in place of a
/// bare descriptor. It never blocks.
#[derive(Debug)]
pub struct HandleChannel(FdChannel);
// ANCHOR_END: channel

impl HandleChannel {
    // ANCHOR: new
    /// A channel over `socket`, with one handle in flight at a time, as in Node.
    ///
    /// # Errors
    /// Those of fcntl(2): the socket is made non-blocking.
    pub fn new(socket: UnixStream) -> io::Result<HandleChannel> {
        Ok(HandleChannel(FdChannel::new(socket, 1)?))
    }
    // ANCHOR_END: new

    // ANCHOR: send_handle
    /// Sends a message with a handle, like Node's `send(message, handle)`. Our copy
    /// of the descriptor is closed when the peer has acknowledged it: to keep a
    /// listener, send a `try_clone()` of it.
    ///
    /// # Errors
    /// As [`FdChannel::send_handle`]; the descriptor comes back.
    pub fn send_handle(
        &mut self,
        message: Value,
        handle: Handle,
    ) -> Result<(), SendHandleError> {
        let node_type = handle.node_type();
        let mut envelope =
            json!({"cmd": "NODE_HANDLE", "type": node_type, "msg": message});
        if let Handle::Udp(socket) = &handle {
            let v6 = socket.local_addr().is_ok_and(|address| address.is_ipv6());
            envelope["dgramType"] = if v6 { "udp6" } else { "udp4" }.into();
        }
        self.0.send_envelope(&envelope, handle.into())
    }
    // ANCHOR_END: send_handle

    // ANCHOR: receive
    /// Writes what may leave and reads what has arrived, as [`FdChannel::receive`]
    /// does. A handle that is not what its envelope says is closed, and delivered
    /// as [`Received::Ignored`].
    pub fn receive(&mut self) -> Vec<Received<Handle>> {
        self.0.receive().into_iter().map(typed).collect()
    }
    // ANCHOR_END: receive

    // ANCHOR: same
    /// As [`FdChannel::send`].
    ///
    /// # Errors
    /// As [`FdChannel::send`].
    pub fn send(&mut self, message: &Value) -> Result<(), SendError> {
        self.0.send(message)
    }

    /// As [`FdChannel::disconnect`].
    ///
    /// # Errors
    /// As [`FdChannel::disconnect`].
    pub fn disconnect(&mut self) -> Result<(), SendError> {
        self.0.disconnect()
    }

    /// As [`FdChannel::is_disconnected`].
    pub fn is_disconnected(&self) -> bool {
        self.0.is_disconnected()
    }

    /// As [`FdChannel::into_unacknowledged`].
    pub fn into_unacknowledged(self) -> Vec<(Value, OwnedFd)> {
        self.0.into_unacknowledged()
    }

    /// As [`FdChannel::set_window`].
    pub fn set_window(&mut self, window: usize) {
        self.0.set_window(window);
    }

    /// As [`FdChannel::pump`].
    pub fn pump(&mut self) {
        self.0.pump();
    }

    /// As [`FdChannel::interest`].
    pub fn interest(&self) -> PollFlags {
        self.0.interest()
    }
    // ANCHOR_END: same
}

// ANCHOR: typed
/// Puts a [`Handle`] in the place of the bare descriptor.
fn typed(received: Received<RawHandle>) -> Received<Handle> {
    match received {
        Received::Handle(message, raw) => {
            match Handle::from_fd(&raw.kind, raw.fd) {
                Ok(handle) => Received::Handle(message, handle),
                Err(wrong) => Received::Ignored(wrong.to_string()),
            }
        }
        Received::Message(message) => Received::Message(message),
        Received::Internal(message) => Received::Internal(message),
        Received::Acked => Received::Acked,
        Received::Returned(message, fd) => Received::Returned(message, fd),
        Received::Ignored(why) => Received::Ignored(why),
        Received::Closed(error) => Received::Closed(error),
    }
}
// ANCHOR_END: typed

// ANCHOR: as_fd
impl AsFd for HandleChannel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
// ANCHOR_END: as_fd
