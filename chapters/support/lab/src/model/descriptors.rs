//! What is opened, copied and closed.

use super::{Done, Model, inode, kind_of};
use crate::{
    event::{Kind, Level, ObjectId, What},
    strace::{Value, fd, values},
    tables::Descriptor,
};

impl Model {
    /// Calls that open and close descriptors. Returns whether this is one.
    pub(super) fn descriptor(&mut self, done: &Done) -> bool {
        let is_ok = done.returned.is_ok();
        match done.name {
            "close" if is_ok => {
                self.close(done.tid, done.began, done.arguments, done.raw);
            }
            "socketpair" | "pipe" | "pipe2" if is_ok => self.pair(done),
            "socket" if is_ok => self.opened(done, Kind::Socket, Level::Calls),
            "bind" | "getsockname" if is_ok => self.addressed(done),
            "listen" if is_ok => self.listens(done),
            "dup" | "dup2" | "dup3" if is_ok => self.copied(done),
            "fcntl" | "ioctl" if is_ok => return self.controlled(done),
            "pidfd_getfd" if is_ok => self.taken(done),
            "close_range" if is_ok => self.closed_range(done),
            "open" | "openat" | "openat2" | "creat" if is_ok => {
                self.opened(done, Kind::File, Level::All);
            }
            "epoll_create" | "epoll_create1" | "eventfd" | "eventfd2"
            | "signalfd" | "signalfd4" | "timerfd_create" | "inotify_init1"
            | "pidfd_open" | "memfd_create" | "io_uring_setup"
                if is_ok =>
            {
                self.opened(done, Kind::Anonymous, Level::All);
            }
            _ => return false,
        }
        true
    }

    /// The descriptors with which the first process began.
    pub(super) fn open_standard(&mut self, pid: i32) {
        for (fd, label) in ["stdin", "stdout", "stderr"].into_iter().enumerate() {
            let object = self.tables.add(Kind::Standard, label, None);
            let descriptor = Descriptor { object, close_on_exec: false };
            self.tables.open(pid, fd as i32, descriptor);
        }
    }

    /// A new object, whose descriptor was returned.
    fn opened(&mut self, done: &Done, kind: Kind, level: Level) {
        let Some((fd, name)) = fd(&done.returned.text) else { return };
        let name = name.unwrap_or(done.name);
        let label = match kind {
            Kind::Socket => "socket",
            _ => kind_of(name).1,
        };
        let object = self.tables.add(kind, label, inode(name));
        // A pidfd is close-on-exec without being asked (pidfd_open(2)).
        let always = ["pidfd_open", "io_uring_setup"].contains(&done.name);
        let close_on_exec = always || done.has("CLOEXEC");
        self.tables.open(done.pid, fd, Descriptor { object, close_on_exec });
        let call = done.name.to_owned();
        let what = What::Call { call, fd: Some(fd), error: None };
        self.add(done.tid, done.began, level, what, done.raw);
    }

    fn pair(&mut self, done: &Done) {
        let is_socket = done.name == "socketpair";
        let ends = done.argument(if is_socket { 3 } else { 0 }).items();
        let [Some(one), Some(other)] =
            [ends.first(), ends.get(1)].map(|it| it?.fd())
        else {
            self.odd += 1;
            return;
        };
        let (kind, labels) = match is_socket {
            true => (Kind::Pair, ["a", "b"]),
            false => (Kind::Pipe, ["read end", "write end"]),
        };
        let mut objects: Vec<ObjectId> = Vec::new();
        for ((fd, name), label) in [one, other].into_iter().zip(labels) {
            let object = self.tables.add(kind, label, name.and_then(inode));
            let close_on_exec = done.has("CLOEXEC");
            self.tables.open(done.pid, fd, Descriptor { object, close_on_exec });
            objects.push(object);
        }
        self.tables.change(objects[0], |it| it.peer = Some(objects[1]));
        self.tables.change(objects[1], |it| it.peer = Some(objects[0]));
        let level =
            if done.has("SOCK_STREAM") { Level::Story } else { Level::Calls };
        let what =
            What::Call { call: done.name.to_owned(), fd: Some(one.0), error: None };
        self.add(done.tid, done.began, level, what, done.raw);
    }

    /// bind(2) and getsockname(2) tell an address. With port 0, only the second one
    /// tells which port it is.
    fn addressed(&mut self, done: &Done) {
        let word = done.argument(0).word().to_owned();
        let address = address(done.argument(1));
        let (Some((_, object)), Some(address)) =
            (self.look(done.pid, &word), address)
        else {
            return self.other(done, Level::All);
        };
        let kind = self.tables.object(object).kind;
        if kind != Kind::Connection {
            self.tables.change(object, |it| it.label = address);
        }
        let is_story = done.name == "bind" || kind == Kind::Listener;
        self.other(done, if is_story { Level::Calls } else { Level::All });
    }

    fn listens(&mut self, done: &Done) {
        let word = done.argument(0).word().to_owned();
        let Some((_, object)) = self.look(done.pid, &word) else { return };
        let is_new = self.tables.object(object).kind != Kind::Listener;
        self.tables.change(object, |it| it.kind = Kind::Listener);
        self.other(done, if is_new { Level::Story } else { Level::Calls });
    }

    fn copied(&mut self, done: &Done) {
        let word = done.argument(0).word().to_owned();
        let old = self.look(done.pid, &word);
        let new = fd(&done.returned.text);
        if let (Some((old, object)), Some((new, _))) = (old, new) {
            if old != new {
                let close_on_exec = done.has("O_CLOEXEC");
                let descriptor = Descriptor { object, close_on_exec };
                self.tables.open(done.pid, new, descriptor);
            }
        }
        self.lose_what_is_gone();
        self.other(done, Level::Calls);
    }

    /// A descriptor of another process was copied into this one (pidfd_getfd(2)): it is
    /// close-on-exec without being asked.
    fn taken(&mut self, done: &Done) {
        if let Some((fd, _)) = self.look(done.pid, &done.returned.text) {
            self.tables.set_close_on_exec(done.pid, fd, true);
        }
        self.other(done, Level::Calls);
    }

    /// fcntl(2), and what ioctl(2) has of it.
    fn controlled(&mut self, done: &Done) -> bool {
        let word = done.argument(0).word().to_owned();
        let Some((old, object)) = self.look(done.pid, &word) else { return false };
        match done.argument(1).word() {
            command @ ("F_SETFD" | "FIOCLEX" | "FIONCLEX") => {
                let on = command == "FIOCLEX" || done.has("FD_CLOEXEC");
                if !self.tables.set_close_on_exec(done.pid, old, on) {
                    return false;
                }
            }
            command @ ("F_DUPFD" | "F_DUPFD_CLOEXEC") => {
                let Some((new, _)) = fd(&done.returned.text) else { return false };
                let close_on_exec = command == "F_DUPFD_CLOEXEC";
                let descriptor = Descriptor { object, close_on_exec };
                self.tables.open(done.pid, new, descriptor);
            }
            _ => return false,
        }
        self.other(done, Level::Calls);
        true
    }

    pub(super) fn close(&mut self, tid: i32, time: f64, text: &str, raw: &str) {
        let Some(&pid) = self.threads.get(&tid) else { return };
        let word = values(text).first().map_or("", Value::word).to_owned();
        let Some((fd, object)) = self.look(pid, &word) else { return };
        self.tables.close(pid, fd);
        let kind = self.tables.object(object).kind;
        // It is a story of its own if a connection ends, or a process stops listening.
        let is_last = self.tables.references(object) == 0;
        let is_held =
            self.tables.descriptors(pid).any(|(_, it)| it.object == object);
        let level = match kind {
            Kind::Connection if is_last => Level::Story,
            Kind::Listener if !is_held => Level::Story,
            Kind::File | Kind::Anonymous | Kind::Standard => Level::All,
            _ => Level::Calls,
        };
        self.lose_what_is_gone();
        let call = "close".to_owned();
        let what = What::Call { call, fd: Some(fd), error: None };
        self.add(tid, time, level, what, raw);
    }

    fn closed_range(&mut self, done: &Done) {
        let first = done.argument(0).number().unwrap_or(0);
        // ~0U is printed as a large number, or as that.
        let last = done.argument(1).number().unwrap_or(i64::MAX);
        let fds = self.tables.descriptors(done.pid).map(|(fd, _)| fd);
        let fds: Vec<i32> =
            fds.filter(|it| (first..=last).contains(&i64::from(*it))).collect();
        let closes = !done.has("CLOSE_RANGE_CLOEXEC");
        for &fd in &fds {
            if closes {
                self.tables.close(done.pid, fd);
            } else {
                self.tables.set_close_on_exec(done.pid, fd, true);
            }
        }
        self.lose_what_is_gone();
        self.other(done, if fds.is_empty() { Level::All } else { Level::Calls });
    }

    /// What is on its way to an object that is gone will never arrive, nor will the
    /// descriptors that travel with it.
    pub(super) fn lose_what_is_gone(&mut self) {
        let mut seen = 0;
        while let Some(&object) = self.tables.gone().get(seen) {
            seen += 1;
            for handle in self.messages.drop_inbox(object) {
                self.tables.release(handle);
            }
        }
    }

    /// Whether a read from this object may block.
    pub(super) fn can_wait(&self, object: ObjectId) -> bool {
        self.tables.object(object).kind != Kind::File
    }
}

/// The address in `{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("…")}`.
pub(super) fn address(value: &Value) -> Option<String> {
    let port = value.field("sin_port").or(value.field("sin6_port"))?.word();
    let port = port.strip_prefix("htons(")?.strip_suffix(')')?;
    if let Some(host) = value.field("sin_addr") {
        return Some(format!("{}:{port}", host.word().split('"').nth(1)?));
    }
    let Value::Struct(fields) = value else { return None };
    let mut words = fields.iter().map(|(_, value)| value.word());
    let host = words.find(|it| it.starts_with("inet_pton("))?;
    Some(format!("[{}]:{port}", host.split('"').nth(1)?))
}
