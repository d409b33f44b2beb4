//! What the two ends of a channel say to each other, and never to the program.

use ch01_fork_ipc::Line;
use serde_json::{Map, Value, json};

use super::{Arrived, FdChannel, Incoming, Passed, Sending, into_message_and_fd};

/// How often a handle is sent before its sender gives up.
const TRIES: u8 = 3;

impl FdChannel {
    // ANCHOR: internal
    /// Acts on one internal message. What is returned is for the program, at once.
    pub(super) fn internal(&mut self, message: Value) -> Option<Incoming> {
        let Value::Object(message) = message else { return None };
        let key = message.get("key").and_then(Value::as_str).unwrap_or_default();
        let incoming = match message.get("cmd").and_then(Value::as_str) {
            Some("NODE_HANDLE") => return self.receive_handle(message),
            Some("NODE_HANDLE_ACK") => {
                self.take_answered().map(|_| Incoming::Acked)
            }
            Some("NODE_HANDLE_NACK") => self.refused(),
            Some("NODE_SOCKET_NOTIFY_CLOSE") => {
                self.open.close(key);
                None
            }
            Some("NODE_SOCKET_GET_COUNT") => {
                self.reply(&self.open.count(key));
                None
            }
            _ => None,
        };
        // What waited for this answer may leave. If that fails, the next read shows the end.
        let _ = self.pump();
        Some(incoming.unwrap_or(Incoming::Internal))
    }
    // ANCHOR_END: internal

    // ANCHOR: receive_handle
    /// A handle has come, or only its envelope.
    fn receive_handle(&mut self, envelope: Map<String, Value>) -> Option<Incoming> {
        let message = self.channel.last_line();
        let Some(fd) = self.channel.stream_mut().take_fd(&message) else {
            self.reply(&json!({"cmd": "NODE_HANDLE_NACK"}));
            return Some(Incoming::Missing);
        };
        self.reply(&json!({"cmd": "NODE_HANDLE_ACK"}));
        let mut passed = Passed::open(envelope, fd);
        passed.open = self.open.add(passed.fields.get("key"));
        let ack_end = self.channel.queued();
        self.inbox
            .push_back(Arrived { ack_end, item: Ok(Incoming::Passed(passed)) });
        None
    }
    // ANCHOR_END: receive_handle

    // ANCHOR: refused
    /// The handle that an answer is for: the oldest. One that has not left yet cannot have been
    /// answered, whatever the other side says.
    fn take_answered(&mut self) -> Option<(Line, Sending)> {
        let (_, oldest) = self.under_way.front()?;
        if oldest.end > self.channel.flushed() {
            None
        } else {
            self.under_way.pop_front()
        }
    }

    /// The oldest handle did not arrive. Again, but not for ever.
    fn refused(&mut self) -> Option<Incoming> {
        let (line, mut sending) = self.take_answered()?;
        sending.tries += 1;
        if sending.tries < TRIES {
            self.queued_bytes += line.len();
            self.queue.push_front((line, Some(sending)));
            return None;
        }
        let (message, fd) = into_message_and_fd((line, sending));
        Some(Incoming::Refused(message, fd))
    }
    // ANCHOR_END: refused

    /// Puts an answer into the outbox. It leaves with the next flush.
    pub(super) fn reply(&mut self, answer: &Value) {
        self.channel.enqueue(&Line::new(answer).expect("an answer is short"));
        self.replies.push_back(self.channel.queued());
    }
}
