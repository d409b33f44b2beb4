//! What is on its way: in, until its acknowledgement has left; out, until it is acknowledged.

use std::{os::fd::OwnedFd, sync::Arc};

use ch01_fork_ipc::{Line, RecvError};
use serde_json::Value;

use super::Incoming;

/// What has come, and was not returned yet.
#[derive(Debug)]
pub(super) struct Arrived {
    /// What [`Channel::flushed`](ch01_fork_ipc::Channel::flushed) has to reach first: then the acknowledgement has left.
    pub ack_end: u64,
    pub item: Result<Incoming, RecvError>,
}

/// A descriptor that is on its way out.
#[derive(Debug)]
pub(super) struct Sending {
    pub fd: Arc<OwnedFd>,
    pub tries: u8,
    /// What [`Channel::flushed`](ch01_fork_ipc::Channel::flushed) is once the whole message has left.
    pub end: u64,
}

/// The message in an envelope, and the descriptor that nobody else holds any more.
pub(super) fn into_message_and_fd(
    (line, sending): (Line, Sending),
) -> (Value, OwnedFd) {
    let message = line.message()["msg"].take();
    let fd = Arc::into_inner(sending.fd)
        .expect("the stream holds it only until it is written");
    (message, fd)
}
