//! What the two ends of a channel say to each other, and never to the program.

use ch01_fork_ipc::Line;
use serde_json::{Map, Value, json};

use super::{FdChannel, Incoming, Passed, Sending, unwrap};

/// How often a handle is sent before its sender gives up.
const TRIES: u8 = 3;

impl FdChannel {
    /// Handles what is between the two transports, and never shown to the program.
    pub(super) fn internal(&mut self, message: Value) {
        let Value::Object(message) = message else { return };
        let key = message.get("key").and_then(Value::as_str).unwrap_or_default();
        match message.get("cmd").and_then(Value::as_str) {
            Some("NODE_HANDLE") => return self.handle(message),
            Some("NODE_HANDLE_ACK") => self.acked(),
            Some("NODE_HANDLE_NACK") => self.refused(),
            Some("NODE_SOCKET_NOTIFY_CLOSE") => self.open.close(key),
            Some("NODE_SOCKET_GET_COUNT") => self.reply(&self.open.count(key)),
            _ => {}
        }
        // What waited for this answer may leave. If that fails, the next read shows the end.
        let _ = self.pump();
    }

    /// A handle has come, or only its envelope.
    fn handle(&mut self, envelope: Map<String, Value>) {
        let Some(fd) = self.channel.stream_mut().take_fd().flatten() else {
            self.reply(&json!({"cmd": "NODE_HANDLE_NACK"}));
            return self.inbox.push_back((0, Ok(Incoming::Missing)));
        };
        self.reply(&json!({"cmd": "NODE_HANDLE_ACK"}));
        let answered = self.channel.queued();
        let mut passed = Passed::open(envelope, fd);
        passed.open = self.open.add(passed.fields.get("key"));
        self.inbox.push_back((answered, Ok(Incoming::Passed(passed))));
    }

    /// The handle that an answer is for: the oldest. One that has not left yet cannot have been
    /// answered, whatever the other side says.
    fn answered(&mut self) -> Option<(Line, Sending)> {
        let (_, oldest) = self.under_way.front()?;
        if oldest.end > self.channel.flushed() { None } else { self.under_way.pop_front() }
    }

    /// The oldest handle has arrived. Our copy goes.
    fn acked(&mut self) {
        if self.answered().is_some() {
            self.inbox.push_back((0, Ok(Incoming::Acked)));
        }
    }

    /// The oldest handle did not arrive. Again, but not for ever.
    fn refused(&mut self) {
        let Some((line, mut sending)) = self.answered() else { return };
        sending.tries += 1;
        if sending.tries < TRIES {
            self.queued_bytes += line.len();
            self.queue.push_front((line, Some(sending)));
        } else {
            let (message, fd) = unwrap((line, sending));
            self.inbox.push_back((0, Ok(Incoming::Refused(message, fd))));
        }
    }

    /// Puts an answer into the outbox. It leaves with the next flush.
    pub(super) fn reply(&mut self, answer: &Value) {
        self.channel.enqueue(&Line::new(answer).expect("an answer is short"));
    }
}
