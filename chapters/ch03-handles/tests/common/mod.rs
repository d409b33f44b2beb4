//! What the tests of this chapter share: the programs, and a channel whose reads
//! wait, with a time limit.

#![allow(dead_code)] // Each test program uses its part of this.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::AsFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use ch02_balance::{Received, poll_tokens};
use ch03_handles::{Handle, HandleChannel};
use nix::poll::{PollFd, PollFlags};
use serde_json::Value;
use testkit::{Program, Running};

/// More than anything here takes, even on a busy machine.
pub const LONG: Duration = Duration::from_secs(15);

/// This chapter's program.
pub fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch03-handles"))
}

/// A step of this chapter, which listens on `address`.
#[track_caller]
pub fn step_on(name: &str, address: &str) -> Program {
    // target/debug/deps/steps-0123456789abcdef
    let tests = std::env::current_exe().expect("the path of the tests");
    let target = tests.ancestors().nth(2).expect("target/debug");
    let path = target.join("examples").join(name);
    assert!(path.exists(), "first: cargo build -p ch03-handles --examples");
    Program::new(path).arg(address)
}

/// One end of a channel, which returns one `Received` at a time.
pub struct End {
    pub channel: HandleChannel,
    arrived: VecDeque<Received<Handle>>,
}

impl End {
    /// The end of a channel over `socket`.
    #[track_caller]
    pub fn new(socket: UnixStream) -> End {
        let channel = HandleChannel::new(socket).expect("a channel");
        End { channel, arrived: VecDeque::new() }
    }

    /// Waits for the next `Received`. Fails if nothing arrives.
    #[track_caller]
    pub fn next(&mut self) -> Received<Handle> {
        let until = Instant::now() + LONG;
        loop {
            if let Some(received) = self.arrived.pop_front() {
                return received;
            }
            let interest = self.channel.interest();
            assert!(
                wait_for(&self.channel, interest, until),
                "nothing arrived on the channel in {LONG:?}"
            );
            self.arrived.extend(self.channel.receive());
        }
    }

    /// What has arrived by now. Does not block.
    pub fn poll(&mut self) -> Option<Received<Handle>> {
        self.arrived.extend(self.channel.receive());
        self.arrived.pop_front()
    }

    /// The next message, with its handle. Skips acknowledgements.
    #[track_caller]
    pub fn message(&mut self) -> (Value, Option<Handle>) {
        loop {
            match self.next() {
                Received::Acked => {}
                Received::Message(message) => return (message, None),
                Received::Handle(message, handle) => {
                    return (message, Some(handle));
                }
                other => panic!("expected a message, not {other:?}"),
            }
        }
    }

    #[track_caller]
    pub fn send(&mut self, message: impl Into<Value>) {
        self.channel.send(&message.into()).expect("the message is queued");
    }

    #[track_caller]
    pub fn send_handle(&mut self, message: impl Into<Value>, handle: Handle) {
        self.channel
            .send_handle(message.into(), handle)
            .expect("the handle is queued");
    }
}

/// Starts `program` as a child; this test is its parent.
#[track_caller]
pub fn start(program: Program) -> (Running, End) {
    let (program, stream) = program.channel();
    (program.start(), End::new(stream))
}

/// Two ends of one channel.
#[track_caller]
pub fn ends() -> (End, End) {
    let (one, other) = UnixStream::pair().expect("a pair");
    (End::new(one), End::new(other))
}

/// Two ends of a TCP connection.
pub fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = tcp_listener();
    let client = TcpStream::connect(listener.local_addr().expect("an address"))
        .expect("connected");
    (listener.accept().expect("accepted").0, client)
}

/// A TCP listener on a free port of this machine.
pub fn tcp_listener() -> TcpListener {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")
}

/// A UDP socket on a free port of this machine.
pub fn udp() -> UdpSocket {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")
}

/// Everything up to the end of `stream`. Fails after a while.
pub fn read_all(mut stream: impl Read + AsFd) -> io::Result<String> {
    let mut text = Vec::new();
    let mut piece = [0; 4096];
    loop {
        wait_to_read(&stream)?;
        match stream.read(&mut piece)? {
            0 => return Ok(String::from_utf8_lossy(&text).into_owned()),
            read => text.extend_from_slice(&piece[..read]),
        }
    }
}

/// Sends a datagram to `address`, and returns the answer.
pub fn ask(address: SocketAddr) -> io::Result<String> {
    let socket = udp();
    socket.send_to(b"hello", address)?;
    wait_to_read(&socket)?;
    let mut reply = [0; 1500];
    let read = socket.recv(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..read]).into_owned())
}

/// What is written into `writer` must arrive at `reader`.
#[track_caller]
pub fn assert_connected(mut writer: impl Write, reader: impl Read + AsFd) {
    writer.write_all(b"through").expect("it can be written");
    drop(writer);
    assert_eq!(read_all(reader).expect("it can be read"), "through");
}

fn wait_to_read(fd: &impl AsFd) -> io::Result<()> {
    if wait_for(fd, PollFlags::POLLIN, Instant::now() + LONG) {
        return Ok(());
    }
    Err(io::ErrorKind::TimedOut.into())
}

fn wait_for(fd: &impl AsFd, events: PollFlags, until: Instant) -> bool {
    let polled = vec![((), PollFd::new(fd.as_fd(), events))];
    !poll_tokens(polled, Some(until)).expect("poll").is_empty()
}
