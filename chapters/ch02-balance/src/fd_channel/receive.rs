//! What comes in, and what has to leave first.

use std::io::ErrorKind;

use ch01_fork_ipc::{RecvError, is_internal};
use serde_json::json;

use super::{Arrived, FdChannel, Incoming, is_gone};

/// Messages that may wait here for an answer to be on its way, before reading pauses.
const MAX_INBOX: usize = 256;

/// Answers that may wait until the other side takes them, before reading pauses.
const MAX_REPLIES: usize = 1024;

/// The same, in bytes. It is more than all messages that a channel may hold: two ends that both send as
/// much as they may must not wait for each other.
const MAX_REPLIED: u64 = 40 << 20;

impl FdChannel {
    // ANCHOR: recv
    /// The next message or handle. `Ok(None)` at the end of the stream. Never blocks.
    ///
    /// A handle is acknowledged before it is returned, and the kernel has the answer by then. So if this
    /// process dies with it, its sender does not give it to another: no client is answered twice.
    ///
    /// # Errors
    /// As [`Channel::recv`](ch01_fork_ipc::Channel::recv). Wait in poll(2) only after `WouldBlock`.
    pub fn recv(&mut self) -> Result<Option<Incoming>, RecvError> {
        // A broken channel shows below, after all that it still holds.
        let _ = self.pump();
        let flushed = self.channel.flushed();
        self.replies.retain(|end| *end > flushed);
        while !self.is_released() && self.reads() {
            match self.channel.recv() {
                Ok(Some(message)) if is_internal(&message) => {
                    if let Some(incoming) = self.internal(message) {
                        return Ok(Some(incoming));
                    }
                }
                Ok(Some(message)) => self.arrived(Ok(Incoming::Message(message))),
                Err(error @ RecvError::Json(_)) => self.not_json(error),
                // Nothing more to read: the acknowledgements leave now, all in one write.
                Err(error) if error.would_block() => break,
                // The other side is gone. What it gave is ours, acknowledged or not.
                _ if !self.inbox.is_empty() => return self.take(),
                end => return end.map(|_| None),
            }
        }
        let gone = self.flush().is_err_and(|error| is_gone(&error));
        if self.is_released() || (gone && !self.inbox.is_empty()) {
            return self.take();
        }
        Err(RecvError::Io(ErrorKind::WouldBlock.into()))
    }
    // ANCHOR_END: recv

    /// Whether the oldest of what has come may be returned: the kernel has its acknowledgement.
    fn is_released(&self) -> bool {
        self.inbox.front().is_some_and(|it| it.ack_end <= self.channel.flushed())
    }

    /// Whether more is read now. Not while the other side takes none of our answers: it could make us
    /// keep more and more of them.
    pub(super) fn reads(&self) -> bool {
        let replies =
            self.replies.len() < MAX_REPLIES && self.replied() <= MAX_REPLIED;
        self.inbox.len() < MAX_INBOX && replies
    }

    /// How many bytes have to leave until all our answers have, at most.
    fn replied(&self) -> u64 {
        let last = self.replies.back().copied().unwrap_or(0);
        last.saturating_sub(self.channel.flushed())
    }

    /// Something has come that needs no acknowledgement.
    fn arrived(&mut self, item: Result<Incoming, RecvError>) {
        self.inbox.push_back(Arrived { ack_end: 0, item });
    }

    /// A line that is not JSON. A sender that has put a descriptor beside it waits for an answer.
    fn not_json(&mut self, error: RecvError) {
        let line = self.channel.last_line();
        if self.channel.stream_mut().discard_fd(&line) {
            self.reply(&json!({"cmd": "NODE_HANDLE_NACK"}));
        }
        self.arrived(Err(error));
    }

    /// Takes the oldest of what has come.
    fn take(&mut self) -> Result<Option<Incoming>, RecvError> {
        self.inbox.pop_front().map(|it| it.item).transpose()
    }
}
