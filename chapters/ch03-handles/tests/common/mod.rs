//! What the tests of this chapter share: the program, and a channel that is waited for.

#![allow(dead_code)] // Each test program uses its part of this.

use std::{
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::{fd::AsFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use ch01_fork_ipc::RecvError;
use ch02_balance::wait_for;
use ch03_handles::{Delivery, Handle, HandleChannel};
use nix::poll::PollFlags;
use serde_json::Value;
use testkit::{Program, Running};

/// More than anything here takes, also on a busy machine.
pub const LONG: Duration = Duration::from_secs(15);

/// This chapter's program.
pub fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch03-handles"))
}

/// Starts `program` as a child; this test is its parent.
#[track_caller]
pub fn start(program: Program) -> (Running, HandleChannel) {
    let (program, stream) = program.channel();
    (program.start(), HandleChannel::new(stream).expect("a channel"))
}

/// Two channels that are connected with each other.
pub fn channels() -> (HandleChannel, HandleChannel) {
    let (one, other) = UnixStream::pair().expect("a pair");
    (
        HandleChannel::new(one).expect("a channel"),
        HandleChannel::new(other).expect("a channel"),
    )
}

/// The next that comes and is the program's, be it an error. Blocks; `None` at the end of the channel.
#[track_caller]
pub fn try_next(
    channel: &mut HandleChannel,
) -> Result<Option<Delivery>, RecvError> {
    let until = Instant::now() + LONG;
    loop {
        match channel.recv() {
            Ok(Some(Delivery::Internal)) => {}
            Err(error) if error.would_block() => {
                let interest = channel.interest();
                let ready = wait_for(channel, interest, Some(until)).expect("poll");
                assert!(ready, "nothing came through the channel in {LONG:?}");
            }
            result => return result,
        }
    }
}

/// The next that comes, and must come.
#[track_caller]
pub fn next(channel: &mut HandleChannel) -> Delivery {
    try_next(channel).expect("a channel that works").expect("the channel goes on")
}

/// The next message, with what came along. ACKs do not count.
#[track_caller]
pub fn message(channel: &mut HandleChannel) -> (Value, Option<Handle>) {
    loop {
        match next(channel) {
            Delivery::Acked => {}
            Delivery::Message(received) => {
                return (received.message, received.handle);
            }
            other => panic!("a message was to come, not {other:?}"),
        }
    }
}

/// Two TCP sockets that are connected with each other.
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

/// All that comes through `stream` to its end. Fails after a while.
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

/// Sends a datagram to `address` and takes the answer.
pub fn ask(address: SocketAddr) -> io::Result<String> {
    let socket = udp();
    socket.send_to(b"hello", address)?;
    wait_to_read(&socket)?;
    let mut answer = [0; 1500];
    let read = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

/// Whether what is written into `writer` comes out of `reader`.
#[track_caller]
pub fn assert_connected(mut writer: impl Write, reader: impl Read + AsFd) {
    writer.write_all(b"through").expect("it can be written");
    drop(writer);
    assert_eq!(read_all(reader).expect("it can be read"), "through");
}

fn wait_to_read(fd: &impl AsFd) -> io::Result<()> {
    let ready = wait_for(fd, PollFlags::POLLIN, Some(Instant::now() + LONG))?;
    if ready { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}
