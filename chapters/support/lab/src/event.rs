//! What the page shows, and what a recording consists of: one [`Event`] after another.
//!
//! An event has all that it changes: new objects, and the descriptors that were opened
//! and closed. So a reader who plays the events from the beginning has the table of
//! each process at each moment, and needs to know nothing about system calls.

use serde::{Deserialize, Serialize};

/// The number of an [`Object`]. Unlike an inode number, none is used twice.
pub type ObjectId = usize;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// From 0, without gaps.
    pub number: u64,
    /// Seconds since the first line of strace.
    pub time: f64,
    /// The process. 0: the lab.
    pub pid: i32,
    /// The thread, if it is not the first one of its process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<i32>,
    /// From which level on it is shown.
    pub level: Level,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
    /// Objects that are new, or about which more is known now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<Object>,
    /// Descriptors that were opened or closed, in this order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Objects of which no descriptor is left, in a process or on its way.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<ObjectId>,
    /// The line of strace, without thread and time. Long ones are cut.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub raw: String,
}

impl Event {
    /// An event of the lab at the time of this one, which changes nothing.
    pub fn plain(&self, what: What) -> Event {
        Event {
            number: self.number,
            time: self.time,
            pid: 0,
            thread: None,
            level: self.level,
            what,
            objects: Vec::new(),
            changes: Vec::new(),
            gone: Vec::new(),
            raw: String::new(),
        }
    }
}

/// How much is shown.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// fork, exec, exit, wait, signals; traffic is counted.
    Life,
    /// Messages, descriptors, requests, prints.
    Story,
    /// Every call that changes something, and those that fail.
    Calls,
    /// All lines.
    All,
}

/// Something that descriptors refer to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Object {
    /// Its number.
    pub id: ObjectId,
    /// What it is.
    pub kind: Kind,
    /// What a reader calls it: an address, a path, `read end`.
    pub label: String,
    /// The other end of a pair or a pipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<ObjectId>,
    /// The kernel's number of a socket or a pipe.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
}

/// Kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The standard input, output or error with which the first process began.
    Standard,
    /// A socket that is none of these yet.
    Socket,
    /// A socket that listens.
    Listener,
    /// A connection with a client, or to a server.
    Connection,
    /// One end of a socketpair(2).
    Pair,
    /// One end of a pipe(2).
    Pipe,
    /// A file.
    File,
    /// An epoll, an eventfd, a timer and the like.
    Anonymous,
}

/// A descriptor that was opened or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// In the table of this process.
    pub pid: i32,
    /// Its number.
    pub fd: i32,
    /// What it refers to now; `None`: it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectId>,
    /// What it referred to, if it is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<ObjectId>,
    /// exec closes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub close_on_exec: bool,
}

/// What happened. The process that does it is the event's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum What {
    /// It has made a child, which begins with a copy of its table.
    Fork {
        /// The child.
        child: i32,
    },
    /// It runs another program. Descriptors that are close-on-exec were closed.
    Exec {
        /// The file.
        path: String,
        /// The arguments.
        arguments: Vec<String>,
    },
    /// It has exited, or was killed.
    Exit(End),
    /// It has waited for a child, which was a zombie until now.
    Reap {
        /// The child.
        child: i32,
        /// How the child ended.
        #[serde(flatten)]
        end: End,
    },
    /// It was stopped.
    Stop {
        /// By this signal.
        signal: String,
    },
    /// It has made a thread.
    Thread {
        /// Its number.
        child: i32,
    },
    /// It blocks in a call.
    Wait {
        /// The call.
        call: String,
        /// For these descriptors.
        fds: Vec<i32>,
    },
    /// It has sent a signal.
    Kill {
        /// To this process; 0 or less: to a group.
        to: i32,
        /// The signal.
        signal: String,
        /// `ESRCH`, `EPERM`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A signal was delivered to it.
    Signal {
        /// The signal.
        signal: String,
        /// The process that has sent it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<i32>,
        /// What it does about that.
        action: Action,
        /// The kernel has sent it because the parent, `from`, has died.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        is_parents_death: bool,
    },
    /// It has asked for a signal when its parent dies (`PR_SET_PDEATHSIG`).
    DeathSignal {
        /// The signal; `0`: none.
        signal: String,
    },
    /// It has changed what it does about a signal.
    Action {
        /// The signal.
        signal: String,
        /// What it does about it from now on.
        action: Action,
    },
    /// It has sent messages, or a part of one, over a pair or a pipe.
    Send {
        /// Over this descriptor.
        fd: i32,
        /// To the other end.
        to: ObjectId,
        /// The messages; a part of one has its number, too.
        messages: Vec<u64>,
        /// The bytes, if they are text; long ones are cut.
        text: String,
        /// How many bytes.
        bytes: usize,
        /// Descriptors that were sent along, and what they refer to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        handles: Vec<Handle>,
    },
    /// It has received messages.
    Receive {
        /// From this descriptor.
        fd: i32,
        /// The messages that are complete now.
        messages: Vec<Received>,
        /// How many bytes.
        bytes: usize,
        /// Descriptors that came along: their new numbers.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        handles: Vec<Handle>,
    },
    /// It has read the end of a stream.
    Eof {
        /// From this descriptor.
        fd: i32,
    },
    /// It has accepted a connection.
    Accept {
        /// From this listener.
        listener: ObjectId,
        /// The new descriptor.
        fd: i32,
    },
    /// It has read from a connection.
    Request {
        /// From this descriptor.
        fd: i32,
        /// What it has read; long texts are cut.
        text: String,
        /// How many bytes.
        bytes: usize,
    },
    /// It has written to a connection.
    Answer {
        /// To this descriptor.
        fd: i32,
        /// What it has written; long texts are cut.
        text: String,
        /// How many bytes.
        bytes: usize,
    },
    /// It has printed.
    Print {
        /// To its standard output (1) or error (2).
        fd: i32,
        /// The text; long ones are cut.
        text: String,
    },
    /// Another call.
    Call {
        /// Its name.
        call: String,
        /// A descriptor that it is about.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fd: Option<i32>,
        /// Why it failed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<String>,
    },
    /// A line that is none of these.
    Other,
    /// The lab has sent a request.
    Asked {
        /// Its number.
        request: u64,
        /// The port of the client: the label of the connection ends with it.
        port: u16,
    },
    /// The lab's request was answered.
    Answered {
        /// Its number.
        request: u64,
        /// How long it took.
        milliseconds: f64,
        /// The last line of the response.
        text: String,
    },
    /// The lab's request was not answered.
    Lost {
        /// Its number.
        request: u64,
        /// Why.
        why: String,
    },
    /// The lab has sent a signal.
    Signalled {
        /// To this process.
        to: i32,
        /// The signal.
        signal: String,
    },
    /// There are so many events that the lab keeps some of the following ones no more.
    Limit {
        /// How many it has kept so far.
        events: u64,
        /// Which ones it does not keep.
        limit: Limit,
    },
    /// The program has ended: no further event follows.
    End {
        /// Lines of strace.
        lines: u64,
        /// Of them, those that were not understood.
        odd: u64,
    },
}

/// Which events are not kept.
#[derive(
    Debug,
    Default,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Limit {
    /// All are kept.
    #[default]
    None,
    /// Calls that change nothing.
    Details,
    /// All but the end.
    All,
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum End {
    /// It has exited.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// It was killed.
    Killed {
        /// By this signal.
        signal: String,
        /// The process that has sent it, if that was seen. 0: the lab.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<i32>,
    },
}

/// What a process does about a signal (signal(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// What the kernel does by itself.
    Default,
    /// Nothing.
    Ignore,
    /// A function of the program is called.
    Handler,
}

/// A descriptor in a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handle {
    /// Its number in the process of this event.
    pub fd: i32,
    /// What it refers to.
    pub object: ObjectId,
}

/// A message that has arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Its number, as in [`What::Send`].
    pub message: u64,
    /// The process that has sent it.
    pub from: i32,
    /// The bytes, if they are text; long ones are cut.
    pub text: String,
}
