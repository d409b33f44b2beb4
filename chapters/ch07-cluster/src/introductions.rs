// ANCHOR: top
//! Introduces a worker that drains to workers that go on with its connections.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    os::unix::net::UnixStream,
};

use ch03_handles::Handle;
use ch04_events::{Children, Id};
use serde_json::json;
// ANCHOR_END: top

// ANCHOR: fields
/// What was sent to a worker, and is not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// A listener.
    Listener,
    /// A connection.
    Connection,
    /// One end of a channel to another worker.
    Introduction(u64),
}

/// The handles in flight to each worker, and the introductions that are under way.
#[derive(Debug, Default)]
pub struct Introductions {
    sent: BTreeMap<Id, VecDeque<Sent>>,
    next: u64,
    /// The introductions that are under way: the giver, and how many ends are not
    /// acknowledged.
    open: BTreeMap<u64, (Id, u8)>,
}
// ANCHOR_END: fields

impl Introductions {
    // ANCHOR: sent
    /// A handle was sent to a worker.
    pub fn sent(&mut self, id: Id, what: Sent) {
        self.sent.entry(id).or_default().push_back(what);
    }

    /// A worker has acknowledged the oldest handle, or it came back. Returns what it
    /// was.
    pub fn landed(&mut self, id: Id) -> Option<Sent> {
        self.sent.get_mut(&id)?.pop_front()
    }

    /// A worker exited.
    pub fn remove(&mut self, id: Id) {
        self.sent.remove(&id);
        self.open.retain(|_, (giver, _)| *giver != id);
    }
    // ANCHOR_END: sent

    // ANCHOR: introduce
    /// Gives two workers a channel of their own.
    ///
    /// # Errors
    /// Those of socketpair(2): no descriptor is free.
    pub fn introduce(
        &mut self,
        children: &mut Children,
        giver: Id,
        taker: Id,
    ) -> io::Result<()> {
        let (one, other) = UnixStream::pair()?;
        let number = self.next;
        self.next += 1;
        self.open.insert(number, (giver, 2));
        for (id, act, end) in [(giver, "give", one), (taker, "take", other)] {
            let message = json!({"act": act, "n": number});
            children.send_handle(id, message, Handle::Unix(end));
            self.sent(id, Sent::Introduction(number));
        }
        Ok(())
    }

    /// One of the two workers has its end. When both have, this process has closed its
    /// copies, and the giver may begin: from now on the two need this process no more.
    /// (With a copy open here, the giver would not learn that the taker has died.)
    pub fn acknowledged(&mut self, children: &mut Children, number: u64) {
        let Some((giver, left)) = self.open.get_mut(&number) else { return };
        *left -= 1;
        if *left > 0 {
            return;
        }
        if children.connected(*giver) {
            children.send(*giver, &json!({"act": "go", "n": number}));
        }
        self.open.remove(&number);
    }
    // ANCHOR_END: introduce
}
