//! What the tests of chapter 2 share.

#![allow(dead_code)] // Each test program uses its part of this.

use std::{
    collections::{HashSet, VecDeque},
    io::{self, IoSlice, Read, Write},
    net::TcpStream,
    ops::{Deref, DerefMut},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd, RawFd},
        unix::{fs::MetadataExt, net::UnixStream},
    },
    process, thread,
    time::{Duration, Instant},
};

use ch01_fork_ipc::{Channel, RecvError};
use ch02_balance::{FdChannel, RawHandle, Received, poll_tokens};
use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    poll::PollFd,
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
};
use serde_json::{Value, json};
use testkit::{
    Program, Running, cpu_time,
    load::{Kind, Load},
};

/// Far more than anything here takes: a busy machine must not decide a verdict.
pub const LONG: Duration = Duration::from_secs(20);

/// The chapter's program.
pub fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch02-balance"))
        .env_remove("NODE_CHANNEL_FD")
        .env_remove("NODE_CHANNEL_SERIALIZATION_MODE")
}

/// The chapter's program with a limit on its descriptors, and so on its children's.
pub fn limited(descriptors: u32, words: &str) -> Program {
    let this = env!("CARGO_BIN_EXE_ch02-balance");
    let script = format!("ulimit -n {descriptors}; exec '{this}' {words}");
    Program::new("sh").args(["-c", &script])
}

/// The parent on a free port, with both of its own workers.
pub fn server() -> Running {
    serving(program().args(["--port", "0"]))
}

/// Starts a parent and waits until it listens and both children are started.
#[track_caller]
pub fn serving(program: Program) -> Running {
    let server = program.start();
    server.addr();
    for name in ["normal", "special"] {
        server.wait_for_line(&format!("{name} is "));
    }
    server
}

/// `clients` at once, a connection for each request.
pub fn load(server: &Running, clients: usize) -> Load {
    Load { addr: server.addr(), clients, kind: Kind::Raw }
}

/// The child of this name.
#[track_caller]
pub fn child_named(server: &Running, name: &str) -> i32 {
    let mark = format!("{name} is ");
    let out = server.stdout();
    let line = out.lines().find_map(|line| line.strip_prefix(&mark));
    line.and_then(|pid| pid.parse().ok())
        .unwrap_or_else(|| panic!("no {mark:?} in\n{out}"))
}

/// Says that a test is skipped, and why. Not `eprintln!`: the harness keeps that
/// back.
pub fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

/// Whether this process may do what others may not: /proc/self belongs to its user.
pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|it| it.uid() == 0)
}

/// A server that waits may look again now and then, but not without pause.
#[track_caller]
pub fn assert_no_busy_loop(server: &Running) {
    let processes = server.processes();
    let used = || -> Duration {
        processes.iter().map(|process| cpu_time(process.pid)).sum()
    };
    let (begun, before) = (Instant::now(), used());
    thread::sleep(Duration::from_millis(400));
    let used = used() - before;
    assert!(
        used * 4 < begun.elapsed(),
        "{used:?} of CPU time in {:?} of waiting",
        begun.elapsed()
    );
}

/// A client that has sent nothing.
#[track_caller]
pub fn connect(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(server.addr()).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a time-out");
    stream
}

/// It has its reply, or gets it.
#[track_caller]
pub fn assert_answered(mut client: TcpStream) {
    let mut reply = String::new();
    client.read_to_string(&mut reply).expect("a reply");
    assert!(reply.starts_with("Request handled with "), "{reply:?}");
}

/// A channel, and what it has delivered before it was asked for.
pub struct Ours {
    channel: FdChannel,
    received: VecDeque<Received>,
}

impl Ours {
    #[track_caller]
    pub fn new(stream: UnixStream, window: usize) -> Ours {
        let channel = FdChannel::new(stream, window).expect("a channel");
        Ours { channel, received: VecDeque::new() }
    }

    /// The channel. What it had delivered is dropped.
    pub fn channel(self) -> FdChannel {
        self.channel
    }

    /// The next that it delivers, within a long time.
    #[track_caller]
    pub fn next(&mut self) -> Received {
        let until = Instant::now() + LONG;
        while self.received.is_empty() && Instant::now() < until {
            self.received.extend(self.channel.receive());
            if self.received.is_empty() {
                let fd = PollFd::new(self.channel.as_fd(), self.channel.interest());
                poll_tokens(vec![((), fd)], Some(until)).expect("poll");
            }
        }
        self.received.pop_front().expect("nothing has arrived")
    }

    /// The next, which must be a handle.
    #[track_caller]
    pub fn next_handle(&mut self) -> (Value, RawHandle) {
        match self.next() {
            Received::Handle(message, handle) => (message, handle),
            other => panic!("a handle should have arrived, not {other:?}"),
        }
    }

    /// The next, which must be a message.
    #[track_caller]
    pub fn next_message(&mut self) -> Value {
        match self.next() {
            Received::Message(message) => message,
            other => panic!("a message should have arrived, not {other:?}"),
        }
    }

    /// The next, which must be an acknowledgement.
    #[track_caller]
    pub fn next_ack(&mut self) {
        let next = self.next();
        assert!(matches!(next, Received::Acked), "not {next:?}");
    }

    /// The next, which must be something that cannot be used; why.
    #[track_caller]
    pub fn next_ignored(&mut self) -> String {
        match self.next() {
            Received::Ignored(why) => why,
            other => panic!("it should have been ignored, not {other:?}"),
        }
    }

    /// Nothing is there for the program now, whatever the two channels tell each
    /// other.
    #[track_caller]
    pub fn assert_nothing(&mut self) {
        for _ in 0..3 {
            self.received.extend(self.channel.receive());
        }
        // This one is no message to a program: see chapter 7.
        self.received.retain(|it| !matches!(it, Received::Internal(_)));
        assert!(self.received.is_empty(), "not {:?}", self.received);
    }

    /// Sends a descriptor as chapter 2's parent does.
    #[track_caller]
    pub fn give(&mut self, message: Value, fd: impl Into<OwnedFd>) {
        let sent = self.channel.send_handle("net.Socket", message, fd.into());
        sent.expect("there is room");
    }
}

impl Deref for Ours {
    type Target = FdChannel;

    fn deref(&self) -> &FdChannel {
        &self.channel
    }
}

impl DerefMut for Ours {
    fn deref_mut(&mut self) -> &mut FdChannel {
        &mut self.channel
    }
}

/// A channel, and its other end, which does as it likes.
pub fn channel_and_peer(window: usize) -> (Ours, Peer) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    (Ours::new(ours, window), Peer::new(theirs))
}

/// Two channels that are connected.
pub fn two_channels(window: usize) -> (Ours, Ours) {
    let (a, b) = UnixStream::pair().expect("a pair of sockets");
    (Ours::new(a, window), Ours::new(b, window))
}

/// The other side of a channel, by hand: it sees every line, the internal ones too.
pub struct Peer(pub Channel<UnixStream>);

impl Peer {
    pub fn new(stream: UnixStream) -> Peer {
        stream.set_read_timeout(Some(LONG)).expect("a time-out");
        stream.set_write_timeout(Some(LONG)).expect("a time-out");
        Peer(Channel::new(stream))
    }

    /// The end of the stream, which must come next.
    #[track_caller]
    pub fn end(&mut self) {
        let end = self.0.recv();
        assert!(matches!(end, Ok(None)), "the end should have come, not {end:?}");
    }

    /// The next line, which must come.
    #[track_caller]
    pub fn line(&mut self) -> Value {
        match self.0.recv() {
            Ok(Some(line)) => line,
            other => panic!("a line should have come, not {other:?}"),
        }
    }

    /// The lines that have left the other side and are here. Blocks for none. The
    /// end of the stream counts as no line.
    #[track_caller]
    pub fn lines_here(&mut self) -> Vec<Value> {
        self.0.stream().set_nonblocking(true).expect("non-blocking");
        let mut lines = Vec::new();
        let end = loop {
            match self.0.recv() {
                Ok(Some(line)) => lines.push(line),
                end => break end,
            }
        };
        self.0.stream().set_nonblocking(false).expect("blocking");
        let is_end = matches!(end, Ok(None))
            || end.as_ref().is_err_and(RecvError::would_block);
        assert!(is_end, "not {end:?}");
        lines
    }

    #[track_caller]
    pub fn say(&mut self, line: &Value) {
        self.0.send(line).expect("the other side is there");
    }

    #[track_caller]
    pub fn ack(&mut self) {
        self.say(&json!({"cmd": "NODE_HANDLE_ACK"}));
    }

    #[track_caller]
    pub fn nack(&mut self) {
        self.say(&json!({"cmd": "NODE_HANDLE_NACK"}));
    }

    /// A line and any descriptors with it, in one sendmsg(2).
    #[track_caller]
    pub fn say_with(&self, line: &Value, fds: &[&OwnedFd]) {
        send_with(self.0.stream(), format!("{line}\n").as_bytes(), fds);
    }

    /// A handle as Node sends it.
    #[track_caller]
    pub fn hand_over(&self, message: Value, fd: &OwnedFd) {
        self.say_with(&envelope(message), &[fd]);
    }
}

/// The envelope around the handle that goes with `message`.
pub fn envelope(message: Value) -> Value {
    json!({"cmd": "NODE_HANDLE", "type": "net.Socket", "msg": message})
}

/// Writes all of `bytes`, and the descriptors with the first of them.
#[track_caller]
pub fn send_with(stream: &UnixStream, bytes: &[u8], fds: &[&OwnedFd]) {
    let numbers: Vec<RawFd> = fds.iter().map(|fd| fd.as_raw_fd()).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
    let parts = [IoSlice::new(bytes)];
    let sent =
        sendmsg::<()>(stream.as_raw_fd(), &parts, rights, MsgFlags::empty(), None);
    assert_eq!(sent, Ok(bytes.len()), "in one piece");
}

/// Something to send that can be told from all others: one end of a pair, and the
/// other. That one reads the end of the stream when all copies of the first are
/// closed.
pub fn thing() -> (UnixStream, OwnedFd) {
    let (other, ours) = UnixStream::pair().expect("a pair of sockets");
    other.set_read_timeout(Some(LONG)).expect("a time-out");
    (other, ours.into())
}

/// What a descriptor of this process refers to: `socket:[123]`.
#[track_caller]
pub fn name_of(fd: &impl AsRawFd) -> String {
    let number = fd.as_raw_fd();
    let link = std::fs::read_link(format!("/proc/self/fd/{number}"));
    link.expect("it is open").to_string_lossy().into_owned()
}

/// The sockets that process `pid` holds, by name.
pub fn sockets(pid: i32) -> HashSet<String> {
    let names = testkit::fds(pid).into_iter().map(|(_, name)| name);
    names.filter(|name| name.starts_with("socket:")).collect()
}

/// How many connections a worker of the chapter holds: all its sockets but one,
/// its channel.
pub fn connections(pid: i32) -> usize {
    sockets(pid).len().saturating_sub(1)
}

/// How many descriptors of process `pid` refer to the thing `name`.
pub fn count_of(pid: i32, name: &str) -> usize {
    testkit::fds(pid).iter().filter(|(_, target)| target == name).count()
}

/// How many descriptors of this process refer to the thing `name`.
pub fn open_here(name: &str) -> usize {
    count_of(process::id() as i32, name)
}

/// Whether the next exec closes it.
pub fn is_cloexec(fd: &OwnedFd) -> bool {
    let flags = fcntl(fd, FcntlArg::F_GETFD).expect("it is open");
    FdFlag::from_bits_truncate(flags).contains(FdFlag::FD_CLOEXEC)
}
