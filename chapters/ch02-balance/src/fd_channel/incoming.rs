//! What a channel delivers, and what it gives back.

use std::os::fd::OwnedFd;

use ch01_fork_ipc::SendError;
use serde_json::{Map, Value};

use super::OpenSocket;

// ANCHOR: incoming
/// What comes in.
#[derive(Debug)]
pub enum Incoming {
    /// A message.
    Message(Value),
    /// A message with a descriptor.
    Passed(Passed),
    /// The other side has the oldest handle that was under way. Our copy is closed.
    Acked,
    /// The other side could not take the handle, three times. The message and the descriptor come back.
    Refused(Value, OwnedFd),
    /// A handle message came without its descriptor. It was asked for again.
    Missing,
    /// Something between the two channels, and nothing for the program. It is told, so that the
    /// program can turn to others in between.
    Internal,
}
// ANCHOR_END: incoming

/// A descriptor that has arrived. It is acknowledged: the sender's copy is closed, or soon will be.
#[derive(Debug)]
pub struct Passed {
    /// The envelope's `type`: what the sender says it is.
    pub kind: String,
    /// The other fields of the envelope, such as `dgramType`.
    pub fields: Map<String, Value>,
    /// What the program sent with it.
    pub message: Value,
    /// The descriptor itself. It is yours.
    pub fd: OwnedFd,
    /// Where the sender counts its sockets: keep this as long as you keep the socket.
    pub open: Option<OpenSocket>,
}

/// A handle that was not passed, the reason, and the handle itself: it is still yours.
#[derive(Debug)]
pub struct NotPassed {
    /// Why.
    pub why: SendError,
    /// What was to be passed.
    pub fd: OwnedFd,
}

impl Passed {
    /// Opens the envelope. What is not as Node has it becomes empty: an unknown `type` is the
    /// program's to refuse.
    pub(super) fn open(mut envelope: Map<String, Value>, fd: OwnedFd) -> Passed {
        envelope.shift_remove("cmd");
        let kind = match envelope.shift_remove("type") {
            Some(Value::String(kind)) => kind,
            _ => String::new(),
        };
        let message = envelope.shift_remove("msg").unwrap_or_default();
        Passed { kind, fields: envelope, message, fd, open: None }
    }
}
