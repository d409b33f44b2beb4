//! What goes through descriptors: messages, connections, prints.

use super::{Call, Done, MAX_TEXT, Model, cut, descriptors::address, inode};
use crate::{
    event::{Handle, Kind, Level, ObjectId, What},
    messages::{Arrived, Sent},
    strace::{Returned, Value, fd, values},
    tables::Descriptor,
};

const SENDS: [&str; 4] = ["sendmsg", "sendto", "write", "writev"];

impl Model {
    /// Calls that move bytes, and those that make connections. Returns whether this is
    /// one.
    pub(super) fn traffic(&mut self, done: &Done) -> bool {
        match done.name {
            "accept" | "accept4" => self.accepted(done),
            "connect" => self.connected(done),
            "recvmsg" | "recvfrom" | "read" | "readv" => self.received(done),
            name if SENDS.contains(&name) => self.sent(done),
            _ => return false,
        }
        true
    }

    fn accepted(&mut self, done: &Done) {
        let word = done.argument(0).word().to_owned();
        let listener = self.look(done.pid, &word).map(|(_, object)| object);
        let new = fd(&done.returned.text).filter(|_| done.returned.is_ok());
        let (Some(listener), Some((fd, name))) = (listener, new) else {
            return self.other(done, Level::All);
        };
        let label =
            address(done.argument(1)).unwrap_or_else(|| "client".to_owned());
        let inode = name.and_then(inode);
        let object = self.tables.add(Kind::Connection, &label, inode);
        let close_on_exec = done.has("SOCK_CLOEXEC");
        self.tables.open(done.pid, fd, Descriptor { object, close_on_exec });
        let what = What::Accept { listener, fd };
        self.add(done.tid, done.ended, Level::Story, what, done.raw);
    }

    fn connected(&mut self, done: &Done) {
        let word = done.argument(0).word().to_owned();
        let is_begun = done.returned.error.as_deref() == Some("EINPROGRESS");
        let address = address(done.argument(1));
        let found = self.look(done.pid, &word);
        let is_tcp = done.returned.is_ok() || is_begun;
        if let (Some((_, object)), Some(address)) =
            (found, address.filter(|_| is_tcp))
        {
            self.tables.change(object, |it| {
                it.kind = Kind::Connection;
                it.label = format!("to {address}");
            });
            return self.other(done, Level::Story);
        }
        self.other(done, Level::Calls);
    }

    fn sent(&mut self, done: &Done) {
        let word = done.argument(0).word().to_owned();
        let Some((fd, object)) = self.look(done.pid, &word) else {
            return self.other(done, Level::All);
        };
        let kind = self.tables.object(object).kind;
        if !done.returned.is_ok() {
            let is_full = done.returned.error.as_deref() == Some("EAGAIN");
            let is_all = is_full || kind == Kind::File;
            return self
                .other(done, if is_all { Level::All } else { Level::Calls });
        }
        let payload = Payload::of(done.name, &done.values);
        let bytes = done.returned.number().unwrap_or(0).max(0) as usize;
        let known = &payload.bytes[..payload.bytes.len().min(bytes)];
        let text = cut(&String::from_utf8_lossy(known), MAX_TEXT);
        match kind {
            Kind::Pair | Kind::Pipe => {
                self.sent_to_peer(done, (fd, object), &payload, bytes, text);
            }
            Kind::Connection => {
                let what = What::Answer { fd, text, bytes };
                self.add(done.tid, done.began, Level::Story, what, done.raw);
            }
            Kind::Standard => {
                let what = What::Print { fd, text };
                self.add(done.tid, done.began, Level::Story, what, done.raw);
            }
            _ => self.other(done, Level::All),
        }
    }

    fn sent_to_peer(
        &mut self,
        done: &Done,
        (fd, object): (i32, ObjectId),
        payload: &Payload,
        bytes: usize,
        text: String,
    ) {
        let Some(to) = self.tables.object(object).peer else {
            return self.other(done, Level::All);
        };
        let handles: Vec<Handle> = payload
            .handles
            .iter()
            .filter_map(|word| self.look(done.pid, word))
            .map(|(fd, object)| Handle { fd, object })
            .collect();
        let objects: Vec<ObjectId> = handles.iter().map(|it| it.object).collect();
        for &object in &objects {
            self.tables.hold(object);
        }
        let sent = Sent {
            from: done.pid,
            known: &payload.bytes,
            length: bytes,
            handles: objects,
        };
        let messages = self.messages.send(to, sent);
        // A process that has both ends, alone, talks to itself: a self-pipe.
        let is_own = !self.tables.is_open_elsewhere(done.pid, to);
        if !is_own {
            self.messages.set_used(to);
        }
        let level = if is_own { Level::All } else { Level::Story };
        let what = What::Send { fd, to, messages, text, bytes, handles };
        self.add(done.tid, done.began, level, what, done.raw);
    }

    fn received(&mut self, done: &Done) {
        let word = done.argument(0).word().to_owned();
        let Some((fd, object)) = self.look(done.pid, &word) else {
            return self.other(done, Level::All);
        };
        let kind = self.tables.object(object).kind;
        let moves = matches!(kind, Kind::Pair | Kind::Pipe | Kind::Connection);
        if !done.returned.is_ok() || !moves || done.has("MSG_PEEK") {
            return self.other(done, Level::All);
        }
        let bytes = done.returned.number().unwrap_or(0).max(0) as usize;
        if bytes == 0 {
            let peer = self.tables.object(object).peer;
            let mut ends = [Some(object), peer].into_iter().flatten();
            let is_channel = ends.any(|it| self.messages.is_used(it));
            let level = if is_channel { Level::Story } else { Level::Calls };
            return self.add(
                done.tid,
                done.ended,
                level,
                What::Eof { fd },
                done.raw,
            );
        }
        let payload = Payload::of(done.name, &done.values);
        if kind == Kind::Connection {
            let text = cut(&String::from_utf8_lossy(&payload.bytes), MAX_TEXT);
            let what = What::Request { fd, text, bytes };
            return self.add(done.tid, done.ended, Level::Story, what, done.raw);
        }
        if self.messages.waiting(object) < bytes {
            self.pull_sends(object);
        }
        let mut arrived = self.messages.receive(object, bytes);
        if arrived.unseen > 0 {
            let raw = format!(
                "{} bytes that were not sent: {}",
                arrived.unseen, done.raw
            );
            self.odd_line(done.tid, done.ended, &raw);
        }
        let handles = self.open_received(done, &payload, &mut arrived);
        for message in &mut arrived.messages {
            message.text = cut(&message.text, MAX_TEXT);
        }
        let messages = arrived.messages;
        let is_own = arrived.from.iter().all(|it| *it == done.pid);
        let level = if is_own { Level::All } else { Level::Story };
        let what = What::Receive { fd, messages, bytes, handles };
        self.add(done.tid, done.ended, level, what, done.raw);
    }

    /// The descriptors that a message has brought: what they refer to was sent along.
    fn open_received(
        &mut self,
        done: &Done,
        payload: &Payload,
        arrived: &mut Arrived,
    ) -> Vec<Handle> {
        let close_on_exec = done.has("MSG_CMSG_CLOEXEC");
        let mut handles = Vec::new();
        for word in &payload.handles {
            let Some((fd, name)) = fd(word) else { continue };
            let inode = name.and_then(inode);
            let is_it = |id: &ObjectId| {
                inode.is_none() || self.tables.object(*id).inode == inode
            };
            let found = arrived.handles.iter().position(is_it);
            let object = match found {
                Some(place) => {
                    let object = arrived.handles.remove(place);
                    let descriptor = Descriptor { object, close_on_exec };
                    self.tables.open(done.pid, fd, descriptor);
                    self.tables.release(object);
                    object
                }
                None => match self.look(done.pid, word) {
                    Some((_, object)) => object,
                    None => continue,
                },
            };
            handles.push(Handle { fd, object });
        }
        // The receiver has not taken these: the kernel has closed them (unix(7)).
        for object in std::mem::take(&mut arrived.handles) {
            self.tables.release(object);
        }
        handles
    }

    /// What is received was sent by a call that has not returned yet: it counts now.
    fn pull_sends(&mut self, into: ObjectId) {
        let Some(peer) = self.tables.object(into).peer else { return };
        let mut tids: Vec<i32> = self
            .calls
            .iter()
            .filter(|(_, it)| !it.is_done && SENDS.contains(&&*it.name))
            .map(|(tid, _)| *tid)
            .collect();
        tids.sort_unstable();
        for tid in tids {
            let Some(&pid) = self.threads.get(&tid) else { continue };
            let Some(call) = self.calls.get(&tid) else { continue };
            let Call { time, name, arguments, .. } = call.clone();
            let values = values(&arguments);
            let word = values.first().map_or("", Value::word).to_owned();
            if self.look(pid, &word).map(|(_, object)| object) != Some(peer) {
                continue;
            }
            if let Some(call) = self.calls.get_mut(&tid) {
                call.is_done = true;
            }
            let length = offered(&name, &values).unwrap_or(0);
            let returned = Returned { text: length.to_string(), error: None };
            let raw = format!("{name}({arguments})");
            self.call(tid, (time, time), (&name, &arguments), &returned, &raw);
        }
    }
}

/// What a call carries.
#[derive(Debug, Default)]
struct Payload {
    /// The bytes that strace has printed.
    bytes: Vec<u8>,
    /// Descriptors, as they are printed.
    handles: Vec<String>,
}

impl Payload {
    fn of(name: &str, values: &[Value]) -> Payload {
        let Some(second) = values.get(1) else { return Payload::default() };
        match name {
            "sendmsg" | "recvmsg" => {
                let parts = second.field("msg_iov").map_or(&[][..], Value::items);
                let controls =
                    second.field("msg_control").map_or(&[][..], Value::items);
                let is_rights = |it: &&Value| {
                    let kind = it.field("cmsg_type").map(Value::word);
                    kind == Some("SCM_RIGHTS")
                };
                let data = controls.iter().filter(is_rights);
                let data = data.filter_map(|it| it.field("cmsg_data"));
                let words = data.flat_map(Value::items);
                let handles = words.map(|it| it.word().to_owned()).collect();
                Payload { bytes: joined(parts), handles }
            }
            "readv" | "writev" => {
                Payload { bytes: joined(second.items()), ..Payload::default() }
            }
            _ => {
                let bytes = second.bytes().map(|(bytes, _)| bytes.to_vec());
                Payload { bytes: bytes.unwrap_or_default(), ..Payload::default() }
            }
        }
    }
}

/// The bytes of several buffers, up to the first that is cut.
fn joined(parts: &[Value]) -> Vec<u8> {
    let mut joined = Vec::new();
    for part in parts {
        let Some((bytes, is_cut)) = part.field("iov_base").and_then(Value::bytes)
        else {
            break;
        };
        joined.extend_from_slice(bytes);
        if is_cut {
            break;
        }
    }
    joined
}

/// How many bytes a call offers to send.
fn offered(name: &str, values: &[Value]) -> Option<usize> {
    let length = |parts: &[Value]| {
        let lengths = parts.iter().filter_map(|it| it.field("iov_len")?.number());
        lengths.sum::<i64>() as usize
    };
    match name {
        "sendmsg" => Some(length(values.get(1)?.field("msg_iov")?.items())),
        "writev" => Some(length(values.get(1)?.items())),
        _ => values.get(2)?.number().map(|it| it as usize),
    }
}
