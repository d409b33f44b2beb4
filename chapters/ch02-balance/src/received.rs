// ANCHOR: imports
//! What a channel delivers, and what it gives back.

use std::os::fd::OwnedFd;

use ch01_fork_ipc::{RecvError, SendError};
use serde_json::Value;
// ANCHOR_END: imports

// ANCHOR: received
/// What a channel delivers. `H` is a handle: chapter 3 has a better one.
#[derive(Debug)]
pub enum Received<H = RawHandle> {
    /// A message.
    Message(Value),
    /// A message with a handle. The kernel has our acknowledgement.
    Handle(Value, H),
    /// The peer has acknowledged the oldest handle in flight. Our copy is closed.
    Acked,
    /// The peer could not take this handle, three times. It comes back with its
    /// message.
    Returned(Value, OwnedFd),
    /// An internal message of Node, other than the answers to handles: such as
    /// `NODE_SOCKET_GET_COUNT` (chapter 7). All others ignore it.
    Internal(Value),
    /// Something arrived that the program cannot use, and why: a line that is not
    /// JSON, a handle without its descriptor. The channel goes on.
    Ignored(String),
    /// The channel has ended, and why if it should not have. Nothing comes after
    /// this.
    Closed(Option<RecvError>),
}

/// A descriptor, and what its sender says that it is.
#[derive(Debug)]
pub struct RawHandle {
    /// The envelope's `type`, such as `net.Socket`.
    pub kind: String,
    /// The envelope's `key`: Node's name for the server whose connection this is.
    pub key: Option<String>,
    /// The descriptor.
    pub fd: OwnedFd,
}
// ANCHOR_END: received

// ANCHOR: send_handle_error
/// Why a handle was not sent, and the handle: it is still yours.
#[derive(Debug)]
pub struct SendHandleError {
    /// Why.
    pub error: SendError,
    /// The handle.
    pub fd: OwnedFd,
}
// ANCHOR_END: send_handle_error
