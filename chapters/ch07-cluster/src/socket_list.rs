// ANCHOR: top
//! Sockets that a Node parent counts.
//!
//! A server in a Node parent passes sockets to its children. `server.close()` calls
//! back only when all of them are closed, and `server.getConnections()` counts them,
//! so the parent asks its children (lib/internal/socket_list.js in Node 20):
//!
//! ```text
//! {"cmd":"NODE_SOCKET_GET_COUNT","key":K}     how many are open?
//! {"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":K}  tell me when all are closed
//! ```

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
// ANCHOR_END: top

// ANCHOR: fields
/// The open sockets, each with the `key` from its envelope: Node's name for the server
/// that accepted it.
#[derive(Debug, Default)]
pub struct SocketList {
    keys: BTreeMap<usize, String>,
    /// The parent wants to know when all sockets of these servers are closed.
    notify: BTreeSet<String>,
}
// ANCHOR_END: fields

impl SocketList {
    // ANCHOR: new
    /// No sockets.
    pub fn new() -> SocketList {
        SocketList::default()
    }

    /// A socket with this key was received. `index` is the worker's name for it.
    pub fn opened(&mut self, index: usize, key: String) {
        self.keys.insert(index, key);
    }
    // ANCHOR_END: new

    // ANCHOR: closed
    /// A socket was closed. Returns what must be sent to the parent. A socket without
    /// a key is not counted.
    pub fn closed(&mut self, index: usize) -> Option<Value> {
        let key = self.keys.remove(&index)?;
        let all_closed = self.count(&key) == 0 && self.notify.remove(&key);
        all_closed.then(|| json!({"cmd": "NODE_SOCKET_ALL_CLOSED", "key": key}))
    }

    fn count(&self, key: &str) -> usize {
        self.keys.values().filter(|it| *it == key).count()
    }
    // ANCHOR_END: closed

    // ANCHOR: on_message
    /// The parent has sent an internal message. Returns the answer.
    pub fn on_message(&mut self, message: &Value) -> Option<Value> {
        let key = message["key"].as_str()?;
        let count = self.count(key);
        match message["cmd"].as_str()? {
            "NODE_SOCKET_GET_COUNT" => Some(
                json!({"cmd": "NODE_SOCKET_COUNT", "key": key, "count": count}),
            ),
            "NODE_SOCKET_NOTIFY_CLOSE" if count == 0 => {
                Some(json!({"cmd": "NODE_SOCKET_ALL_CLOSED", "key": key}))
            }
            "NODE_SOCKET_NOTIFY_CLOSE" => {
                self.notify.insert(key.to_owned());
                None
            }
            _ => None,
        }
    }
    // ANCHOR_END: on_message
}
