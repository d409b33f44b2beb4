//! What the lines mean: [`Model::line`] takes one line of strace after another, and
//! makes [`Event`]s of them.
//!
//! strace prints a call when it returns. Between processes that is not the order in
//! which things happen: a child may print before its parent's fork has returned, a
//! message be received before the call that sends it has, an end of a stream be read
//! before the close has. So some calls count at their beginning: a close, and a fork,
//! a send or a kill whose effect is seen before its end.
//!
//! `life` is about processes and signals, `descriptors` about what is opened and closed,
//! `traffic` about what goes through it.

mod descriptors;
mod life;
mod traffic;

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::{
    event::{Action, Event, Kind, Level, ObjectId, What},
    messages::Messages,
    strace::{self, Line, Returned, Value, fd, values},
    tables::{Descriptor, Tables},
};

/// Longer texts are cut in events.
const MAX_TEXT: usize = 2000;
const MAX_RAW: usize = 900;

/// Makes events of lines.
#[derive(Debug, Default)]
pub struct Model {
    tables: Tables,
    messages: Messages,
    processes: BTreeMap<i32, Process>,
    /// The process of each thread that has not exited.
    threads: HashMap<i32, i32>,
    /// The call of each thread that has begun and not returned.
    calls: HashMap<i32, Call>,
    /// When the call began in which a thread waits, or has waited last.
    waits: HashMap<i32, f64>,
    /// Lines of processes whose parent is not known yet.
    orphans: Vec<(Line, String)>,
    /// Signals that were sent, the newest last.
    kills: VecDeque<Kill>,
    events: Vec<Event>,
    next: u64,
    /// The time of the first line.
    began: Option<f64>,
    /// The time of the last one.
    last: f64,
    lines: u64,
    odd: u64,
}

/// A process that has not exited.
#[derive(Debug, Default)]
struct Process {
    /// What it does about signals, if that is not the default.
    actions: HashMap<String, Action>,
    /// 0: it is not traced.
    parent: i32,
    /// The signal that the kernel sends it when its parent dies.
    death_signal: Option<String>,
}

/// A call that has begun.
#[derive(Debug, Clone)]
struct Call {
    time: f64,
    name: String,
    arguments: String,
    /// It counts already: nothing happens when it returns.
    is_done: bool,
}

/// A signal that was sent.
#[derive(Debug)]
struct Kill {
    time: f64,
    from: i32,
    to: i32,
    signal: String,
}

/// A call that has returned, and what is needed for its event.
#[derive(Debug)]
struct Done<'a> {
    tid: i32,
    pid: i32,
    /// When it began, and when it returned.
    began: f64,
    ended: f64,
    name: &'a str,
    arguments: &'a str,
    values: Vec<Value>,
    returned: &'a Returned,
    raw: &'a str,
}

impl Done<'_> {
    /// The argument with this number, counted from 0; if there is none, an empty word.
    fn argument(&self, number: usize) -> &Value {
        const NONE: &Value = &Value::Word(String::new());
        self.values.get(number).unwrap_or(NONE)
    }

    fn has(&self, flag: &str) -> bool {
        self.arguments.contains(flag)
    }
}

impl Model {
    /// No line was seen.
    pub fn new() -> Model {
        Model::default()
    }

    /// Takes a complete line.
    pub fn line(&mut self, text: &str) {
        self.lines += 1;
        let Some(line) = Line::parse(text) else {
            return self.odd_line(0, self.last, text);
        };
        self.last = line.time;
        self.began.get_or_insert(line.time);
        self.take(line, text);
        // Perhaps their parent is known now.
        for (line, text) in std::mem::take(&mut self.orphans) {
            self.take(line, &text);
        }
    }

    /// Takes the beginning of a line of which no more has come for a while: its process
    /// blocks.
    pub fn partial(&mut self, text: &str) {
        let Some(line) = Line::parse_partial(text) else { return };
        if let strace::What::Unfinished { name, arguments } = &line.what {
            self.waits(line.tid, line.time, name, arguments);
        }
    }

    /// The events since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Something that the lab has done.
    pub fn own(&mut self, time: f64, level: Level, what: What) {
        if let What::Signalled { to, signal } = &what {
            self.note_kill(time, 0, *to, signal);
        }
        self.add(0, time, level, what, "");
    }

    /// Ends the stream of events.
    pub fn end(&mut self, time: f64) {
        let what = What::End { lines: self.lines, odd: self.odd };
        self.add(0, time, Level::Life, what, "");
    }

    /// Lines that were not understood.
    pub fn odd(&self) -> u64 {
        self.odd
    }

    fn take(&mut self, line: Line, text: &str) {
        let Line { tid, time, what } = &line;
        let (tid, time) = (*tid, *time);
        if !self.threads.contains_key(&tid) && !self.adopt(tid) {
            self.orphans.push((line, text.to_owned()));
            return;
        }
        let raw = raw(text);
        match what {
            strace::What::Call { name, arguments, returned } => {
                self.call(tid, (time, time), (name, arguments), returned, raw);
            }
            strace::What::Unfinished { name, arguments } => {
                self.begin_call(tid, time, name, arguments, raw);
            }
            strace::What::Resumed { name, arguments, returned } => {
                self.resume(tid, time, name, arguments, returned.as_ref());
            }
            strace::What::Signal { name, info } => {
                self.signal(tid, time, name, info, raw);
            }
            strace::What::Stopped(signal) => {
                let what = What::Stop { signal: signal.clone() };
                self.add(tid, time, Level::Life, what, raw);
            }
            strace::What::Exited(code) => self.exited(tid, time, *code, raw),
            strace::What::Killed { signal, .. } => {
                self.was_killed(tid, time, signal, raw);
            }
            strace::What::Superseded(by) => {
                // A thread has called execve(2): it goes on under this number.
                if let Some(call) = self.calls.remove(by) {
                    self.calls.insert(tid, call);
                }
                self.threads.remove(by);
            }
            strace::What::Other(_) => self.odd_line(tid, time, raw),
        }
    }

    fn begin_call(
        &mut self,
        tid: i32,
        time: f64,
        name: &str,
        arguments: &str,
        raw: &str,
    ) {
        let is_close = name == "close";
        if is_close {
            let raw = raw.replace(" <unfinished ...>", ")");
            self.close(tid, time, arguments, &raw);
        }
        self.waits(tid, time, name, arguments);
        let (name, arguments) = (name.to_owned(), arguments.to_owned());
        self.calls.insert(tid, Call { time, name, arguments, is_done: is_close });
    }

    fn resume(
        &mut self,
        tid: i32,
        time: f64,
        name: &str,
        arguments: &str,
        returned: Option<&Returned>,
    ) {
        let Some(call) = self.calls.remove(&tid) else {
            return self.odd_line(
                tid,
                time,
                &format!("<... {name} resumed>{arguments}"),
            );
        };
        let Some(returned) = returned.filter(|_| !call.is_done) else { return };
        let blank = if call.arguments.ends_with(',') { " " } else { "" };
        let arguments = format!("{}{blank}{arguments}", call.arguments);
        let error = returned.error.as_deref().unwrap_or_default();
        let raw = format!("{name}({arguments}) = {} {error}", returned.text);
        let times = (call.time, time);
        self.call(tid, times, (name, &arguments), returned, raw.trim_end());
    }

    /// A call has returned.
    fn call(
        &mut self,
        tid: i32,
        (began, ended): (f64, f64),
        (name, arguments): (&str, &str),
        returned: &Returned,
        raw: &str,
    ) {
        let Some(&pid) = self.threads.get(&tid) else { return };
        let values = values(arguments);
        let done =
            Done { tid, pid, began, ended, name, arguments, values, returned, raw };
        let is_known =
            self.life(&done) || self.traffic(&done) || self.descriptor(&done);
        if !is_known {
            self.other(&done, Level::All);
        }
    }

    /// A call without an event of its own.
    fn other(&mut self, done: &Done, level: Level) {
        let fd = done.argument(0).fd().map(|(fd, _)| fd).filter(|fd| *fd >= 0);
        let fd = fd.filter(|&fd| self.tables.get(done.pid, fd).is_some());
        let error = done.returned.error.clone();
        let what = What::Call { call: done.name.to_owned(), fd, error };
        self.add(done.tid, done.ended, level, what, done.raw);
    }

    /// A line that is not understood.
    fn odd_line(&mut self, tid: i32, time: f64, raw: &str) {
        self.odd += 1;
        self.add(tid, time, Level::All, What::Other, raw);
    }

    /// Adds an event of a thread, with all that has changed.
    fn add(&mut self, tid: i32, time: f64, level: Level, what: What, raw: &str) {
        let pid = self.threads.get(&tid).copied().unwrap_or(tid);
        let changes = self.tables.take_changes();
        let objects = changes.objects.iter();
        let objects = objects.map(|&id| self.tables.object(id).clone()).collect();
        let time = time - self.began.unwrap_or(time);
        self.events.push(Event {
            number: self.next,
            time: (time * 1e6).round() / 1e6,
            pid,
            thread: (tid != pid).then_some(tid),
            level,
            what,
            objects,
            changes: changes.descriptors,
            gone: changes.gone,
            raw: cut(raw, MAX_RAW),
        });
        self.next += 1;
    }

    /// What a descriptor refers to, by its word in a line. What was not seen to be
    /// opened is learned here: it was inherited.
    fn look(&mut self, pid: i32, word: &str) -> Option<(i32, ObjectId)> {
        let (fd, name) = fd(word)?;
        let inode = name.and_then(inode);
        if let Some(Descriptor { object, .. }) = self.tables.get(pid, fd) {
            let known = self.tables.object(object);
            let is_same = inode.is_none() || known.inode == inode;
            if is_same || known.kind == Kind::Standard {
                return Some((fd, object));
            }
        }
        let name = name.filter(|_| fd >= 0)?;
        let object = inode.and_then(|it| self.tables.with_inode(it));
        let object = object.unwrap_or_else(|| {
            let (kind, label) = kind_of(name);
            self.tables.add(kind, label, inode)
        });
        self.tables.open(pid, fd, Descriptor { object, close_on_exec: false });
        Some((fd, object))
    }
}

/// A line without its thread and time.
fn raw(text: &str) -> &str {
    let rest = text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
    rest.trim_start().split_once(' ').map_or("", |(_, rest)| rest)
}

/// The beginning of a text, with `…` if something follows.
fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = (0..=most).rev().find(|it| text.is_char_boundary(*it)).unwrap_or(0);
    format!("{}…", &text[..end])
}

/// The number in `socket:[12]` and `pipe:[12]`.
fn inode(name: &str) -> Option<u64> {
    let (kind, rest) = name.split_once(":[")?;
    let digits = rest.split(|it: char| !it.is_ascii_digit()).next()?;
    (kind != "anon_inode").then(|| digits.parse().ok())?
}

/// What a name says of its object.
fn kind_of(name: &str) -> (Kind, &str) {
    let sockets = ["socket:", "TCP", "UDP", "UNIX", "NETLINK"];
    if sockets.iter().any(|it| name.starts_with(it)) {
        (Kind::Socket, name)
    } else if name.starts_with("pipe:") {
        (Kind::Pipe, name)
    } else if let Some(name) = name.strip_prefix("anon_inode:") {
        (Kind::Anonymous, name)
    } else {
        (Kind::File, name)
    }
}
