//! How many of a server's sockets are still open here: Node's parent asks for it.
//!
//! When a Node server hands its connections to children, `server.close()` has to wait until they
//! have closed them too. So it puts a `key` on each socket, and asks with that.

use std::{collections::HashMap, sync::Arc};

use serde_json::{Value, json};

/// Counts the sockets of each key.
#[derive(Debug, Default)]
pub(super) struct OpenSockets {
    keys: HashMap<String, Key>,
}

#[derive(Debug, Default)]
struct Key {
    /// Each open socket holds a reference, and this is one more.
    references: Arc<()>,
    /// The parent waits for the last to close.
    closing: bool,
}

/// Says that a socket is open, until it is dropped.
#[derive(Debug)]
pub struct OpenSocket {
    _reference: Arc<()>,
}

impl OpenSockets {
    /// One more socket, if it has a key.
    pub(super) fn add(&mut self, key: Option<&Value>) -> Option<OpenSocket> {
        self.keys.retain(|_, key| key.closing || key.open() > 0);
        let key = self.keys.entry(key?.as_str()?.to_owned()).or_default();
        Some(OpenSocket { _reference: key.references.clone() })
    }

    /// The answer to `NODE_SOCKET_GET_COUNT`.
    pub(super) fn count(&self, key: &str) -> Value {
        let count = self.keys.get(key).map_or(0, Key::open);
        json!({"cmd": "NODE_SOCKET_COUNT", "key": key, "count": count})
    }

    /// `NODE_SOCKET_NOTIFY_CLOSE`: the parent wants to know when the last one is closed.
    pub(super) fn close(&mut self, key: &str) {
        self.keys.entry(key.to_owned()).or_default().closing = true;
    }

    /// The answers to that, for the keys whose sockets are all closed by now.
    pub(super) fn closed(&mut self) -> Vec<Value> {
        let done = |key: &Key| key.closing && key.open() == 0;
        let answers = self.keys.iter().filter(|(_, state)| done(state));
        let answers = answers
            .map(|(key, _)| json!({"cmd": "NODE_SOCKET_ALL_CLOSED", "key": key}))
            .collect();
        self.keys.retain(|_, key| !done(key));
        answers
    }
}

impl Key {
    fn open(&self) -> usize {
        Arc::strong_count(&self.references) - 1
    }
}
