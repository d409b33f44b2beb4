// ANCHOR: imports
//! The line around a message that has a handle.
//!
//! ```text
//! {"cmd":"NODE_HANDLE","type":"net.Socket","msg":"socket","key":"4:0.0.0.0:1337"}
//! ```
//!
//! `type` says what the descriptor is, `msg` is the program's message. Node adds
//! `key` to the sockets of a server that counts them.

use std::collections::BTreeMap;

use ch01_fork_ipc::{RecvError, from_line};
use serde_json::{Value, value::RawValue};
// ANCHOR_END: imports

// ANCHOR: envelope
/// An envelope whose fields are not parsed yet. A message that serde_json cannot
/// read must not cost the handle beside it: Node nests deeper than 128, and sends
/// half of a surrogate pair, which is no character.
pub struct Envelope<'a> {
    fields: BTreeMap<String, &'a RawValue>,
}
// ANCHOR_END: envelope

impl<'a> Envelope<'a> {
    // ANCHOR: parse
    /// The envelope that `line` is. `None`: it is another message.
    pub fn parse(line: &'a str) -> Option<Envelope<'a>> {
        let envelope = Envelope::outer(line)?;
        // After a NACK, Node sends the whole envelope again inside a second one.
        let nested = envelope.text("type").as_deref() == Some("net.Native");
        let inner = envelope.fields.get("msg").filter(|_| nested);
        inner.and_then(|inner| Envelope::outer(inner.get())).or(Some(envelope))
    }

    fn outer(line: &'a str) -> Option<Envelope<'a>> {
        // So most messages are parsed only once. `NODE\u005fHANDLE` is the same name.
        if !line.contains("NODE_HANDLE") && !line.contains(r"\u") {
            return None;
        }
        let envelope = Envelope { fields: serde_json::from_str(line).ok()? };
        (envelope.text("cmd")? == "NODE_HANDLE").then_some(envelope)
    }
    // ANCHOR_END: parse

    // ANCHOR: fields
    /// The field `name`, if it is a string.
    pub fn text(&self, name: &str) -> Option<String> {
        serde_json::from_str(self.fields.get(name)?.get()).ok()
    }

    /// The program's message: null if there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn message(&self) -> Result<Value, RecvError> {
        let message = self.fields.get("msg").map(|message| message.get());
        from_line(message.unwrap_or("null").as_bytes())
    }
    // ANCHOR_END: fields
}
