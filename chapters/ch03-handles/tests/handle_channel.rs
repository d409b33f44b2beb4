//! Handles that go from one channel to another, inside one process.

mod common;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    thread,
};

use ch01_fork_ipc::SendError;
use ch02_balance::{FdChannel, Received};
use ch03_handles::{Handle, HandleChannel, Kind};
use common::{End, ask, assert_connected, ends, tcp_listener, tcp_pair, udp};
use nix::unistd::pipe;
use serde_json::{Value, json};
use testkit::temp_dir;

/// Sends `handle` through a channel. What arrives must be of the same type.
#[track_caller]
fn carry(handle: Handle) -> Handle {
    let (mut one, mut other) = ends();
    let (said, is) = (handle.node_type(), Kind::of(&handle).expect("open"));
    one.send_handle(json!({"a": "handle"}), handle);
    let (text, arrived) = other.message();
    assert_eq!(text, json!({"a": "handle"}), "{said} arrived with another message");
    let arrived = arrived.unwrap_or_else(|| panic!("{said} without its handle"));
    let found = (arrived.node_type(), Kind::of(&arrived).expect("open"));
    assert_eq!(found, (said, is));
    assert!(matches!(one.next(), Received::Acked), "{said} is acknowledged");
    arrived
}

#[test]
fn a_tcp_socket_works_where_it_arrives() {
    let (ours, theirs) = tcp_pair();
    let Handle::Tcp(arrived) = carry(Handle::Tcp(theirs)) else {
        panic!("another type")
    };
    assert_connected(arrived, ours);
    let (ours, theirs) = tcp_pair();
    let Handle::Native(arrived) = carry(Handle::Native(theirs.into())) else {
        panic!("another type")
    };
    assert_connected(TcpStream::from(arrived), ours);
}

#[test]
fn a_unix_stream_works_where_it_arrives() {
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let Handle::Unix(arrived) = carry(Handle::Unix(theirs)) else {
        panic!("another type")
    };
    assert_connected(arrived, ours);
    let (ours, theirs) = UnixStream::pair().expect("a pair");
    let Handle::Native(arrived) = carry(Handle::Native(theirs.into())) else {
        panic!("another type")
    };
    assert_connected(UnixStream::from(arrived), ours);
}

#[test]
fn a_pipe_works_where_it_arrives() {
    let (reader, writer) = pipe().expect("a pipe");
    let Handle::Native(arrived) = carry(Handle::Native(writer)) else {
        panic!("another type")
    };
    assert_connected(File::from(arrived), File::from(reader));
}

#[test]
fn a_listener_accepts_where_it_arrives() {
    let listener = tcp_listener();
    let address = listener.local_addr().expect("an address");
    let Handle::TcpListener(arrived) = carry(Handle::TcpListener(listener)) else {
        panic!("another type")
    };
    let client = TcpStream::connect(address).expect("it listens");
    assert_connected(client, arrived.accept().expect("a connection").0);

    let dir = temp_dir();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a Unix listener");
    let Handle::UnixListener(arrived) = carry(Handle::UnixListener(listener))
    else {
        panic!("another type")
    };
    let client = UnixStream::connect(&path).expect("it listens");
    assert_connected(client, arrived.accept().expect("a connection").0);
}

#[test]
fn a_udp_socket_takes_datagrams_where_it_arrives() {
    for bare in [false, true] {
        let socket = udp();
        let address = socket.local_addr().expect("an address");
        let handle = match bare {
            true => Handle::UdpNative(socket.into()),
            false => Handle::Udp(socket),
        };
        let arrived = UdpSocket::from(OwnedFd::from(carry(handle)));
        let answering = thread::spawn(move || {
            let (_, sender) = arrived.recv_from(&mut [0; 99]).expect("a datagram");
            arrived.send_to(b"here", sender).expect("a reply");
        });
        assert_eq!(ask(address).expect("a reply"), "here");
        answering.join().expect("it replies");
    }
}

/// A Node parent reads `dgramType` to know the family of a UDP socket.
#[test]
fn the_envelope_says_which_udp_it_is() {
    let (raw, other) = UnixStream::pair().expect("a pair");
    let mut channel = HandleChannel::new(other).expect("a channel");
    channel.send_handle(json!(1), Handle::Udp(udp())).expect("sent");
    let mut line = String::new();
    BufReader::new(&raw).read_line(&mut line).expect("an envelope");
    let envelope: Value = serde_json::from_str(&line).expect("JSON");
    let expected = json!({"cmd": "NODE_HANDLE", "type": "dgram.Socket", "msg": 1,
        "dgramType": "udp4"});
    assert_eq!(envelope, expected);

    (&raw).write_all(b"{\"cmd\":\"NODE_HANDLE_ACK\"}\n").expect("written");
    channel.receive();
    // Not every machine has IPv6.
    let Ok(socket) = UdpSocket::bind("[::1]:0") else { return };
    channel.send_handle(json!(2), Handle::Udp(socket)).expect("sent");
    line.clear();
    BufReader::new(&raw).read_line(&mut line).expect("an envelope");
    assert!(line.contains("\"dgramType\":\"udp6\""), "{line}");
}

#[test]
fn the_senders_copy_is_closed_once_it_is_acknowledged() {
    let (theirs, mut ours) = UnixStream::pair().expect("a pair");
    drop(carry(Handle::Unix(theirs)));
    assert_eq!(ours.read(&mut [0]).expect("the end"), 0, "a copy is still open");
}

#[test]
fn a_handle_that_is_something_else_is_ignored_and_the_channel_goes_on() {
    let (one, other) = UnixStream::pair().expect("a pair");
    let mut sender = FdChannel::new(one, 1).expect("a channel");
    let mut end = End::new(other);
    let (reader, writer) = pipe().expect("a pipe");
    sender.send_handle("net.Server", "server".into(), writer).expect("sent");
    sender.send(&"next".into()).expect("queued");
    let Received::Ignored(why) = end.next() else { panic!("it was accepted") };
    assert_eq!(why, "a handle was sent as 'net.Server', but it is a pipe");

    // It has arrived, so it is acknowledged, and the message behind it is sent.
    assert!(matches!(sender.receive()[..], [Received::Acked]));
    let read = File::from(reader).read(&mut [0]).expect("the end");
    assert_eq!(read, 0, "the wrong descriptor is closed");
    assert_eq!(end.message().0, "next");
}

#[test]
fn a_handle_message_without_its_descriptor_is_not_acknowledged() {
    let (mut raw, other) = UnixStream::pair().expect("a pair");
    let mut end = End::new(other);
    raw.write_all(
        b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":1}\n\"next\"\n",
    )
    .expect("written");
    assert!(matches!(end.next(), Received::Ignored(_)));
    assert_eq!(end.message().0, "next", "the channel goes on");
    let mut answer = String::new();
    BufReader::new(raw).read_line(&mut answer).expect("an answer");
    assert_eq!(answer, "{\"cmd\":\"NODE_HANDLE_NACK\"}\n");
}

#[test]
fn a_handle_that_is_refused_three_times_comes_back() {
    let (raw, other) = UnixStream::pair().expect("a pair");
    let mut end = End::new(other);
    let (theirs, ours) = tcp_pair();
    end.send_handle(json!(["hello"]), Handle::Tcp(theirs));
    end.send("behind it");
    let mut lines = BufReader::new(&raw).lines();
    for n in 1..=3 {
        let line = lines.next().expect("a line").expect("readable");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            line["cmd"], "NODE_HANDLE",
            "try {n} is sent before the message"
        );
        (&raw).write_all(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n").expect("written");
        if n < 3 {
            assert!(end.poll().is_none(), "try {n} is not the last");
        }
    }
    let Received::Returned(text, fd) = end.next() else {
        panic!("the handle must come back")
    };
    assert_eq!(text, json!(["hello"]));
    assert_connected(TcpStream::from(fd), ours);
    assert!(end.poll().is_none());
    assert_eq!(lines.next().expect("a line").expect("readable"), "\"behind it\"");
}

/// A channel may end before a handle is sent, while the handle waits, and after it
/// was written.
#[test]
fn a_handle_is_not_lost_with_its_channel() {
    // It waits behind another one, and the peer closes.
    let (mut one, other) = ends();
    let (first, _first) = tcp_pair();
    let (second, ours) = tcp_pair();
    one.send_handle(1, Handle::Tcp(first));
    one.send_handle(2, Handle::Tcp(second));
    drop(other);
    assert!(matches!(one.next(), Received::Closed(_)));
    let mut back = one.channel.into_unacknowledged();
    let (message, fd) = back.pop().expect("the handle comes back");
    assert_eq!(message, 2);
    assert_connected(TcpStream::from(fd), ours);

    // The channel has ended, and that was delivered.
    let (mut one, other) = ends();
    drop(other);
    assert!(matches!(one.next(), Received::Closed(_)));
    let (theirs, ours) = tcp_pair();
    let not_sent = one.channel.send_handle(json!(3), Handle::Tcp(theirs));
    let not_sent = not_sent.expect_err("the channel has ended");
    assert!(matches!(not_sent.error, SendError::Closed));
    assert_connected(TcpStream::from(not_sent.fd), ours);

    // We have disconnected.
    let (mut one, _other) = ends();
    one.channel.disconnect().expect("the first time");
    assert!(matches!(one.channel.disconnect(), Err(SendError::Closed)));
    let (theirs, ours) = tcp_pair();
    let not_sent = one.channel.send_handle(json!(4), Handle::Tcp(theirs));
    assert_connected(TcpStream::from(not_sent.expect_err("ended").fd), ours);
}

#[test]
fn a_disconnect_waits_for_what_was_sent_before_it() {
    let (mut one, mut other) = ends();
    let (theirs, ours) = tcp_pair();
    one.send_handle("a", Handle::Tcp(theirs));
    one.send("b");
    one.channel.disconnect().expect("the first time");
    let (text, handle) = other.message();
    let Some(Handle::Tcp(arrived)) = handle else { panic!("a without its socket") };
    assert_eq!(text, "a");
    assert!(matches!(one.next(), Received::Acked));
    assert_connected(arrived, ours);
    assert_eq!(other.message().0, "b");
    assert!(matches!(other.next(), Received::Closed(None)));
}

#[test]
fn a_thousand_messages_and_handles_keep_their_order() {
    let (mut one, mut other) = ends();
    let mut far_ends = Vec::new();
    for n in 0..1000 {
        if n % 2 == 0 {
            one.send(n);
        } else {
            let (theirs, ours) = UnixStream::pair().expect("a pair");
            one.send_handle(n, Handle::Unix(theirs));
            far_ends.push(ours);
        }
    }
    let mut far_ends = far_ends.into_iter();
    let mut expected = 0;
    while expected < 1000 {
        // The sender must read the acknowledgements for the next to leave.
        while one.poll().is_some() {}
        let (message, handle) = match other.poll() {
            Some(Received::Message(message)) => (message, None),
            Some(Received::Handle(message, handle)) => (message, Some(handle)),
            None => continue,
            other => panic!("expected a message, not {other:?}"),
        };
        assert_eq!(message, expected);
        assert_eq!(handle.is_some(), expected % 2 == 1, "message {expected}");
        if let Some(Handle::Unix(mut stream)) = handle {
            // Not to its end: the sender holds its copy until it has read the ACK.
            stream.write_all(&i32::to_be_bytes(expected)).expect("written");
            let mut number = [0; 4];
            let mut far_end = far_ends.next().expect("its other end");
            far_end.set_nonblocking(true).expect("a Unix stream");
            far_end.read_exact(&mut number).expect("the handle of another message");
            assert_eq!(i32::from_be_bytes(number), expected);
        }
        expected += 1;
    }
}

#[test]
fn a_line_that_is_not_json_is_ignored_and_the_channel_goes_on() {
    let (mut raw, other) = UnixStream::pair().expect("a pair");
    let mut end = End::new(other);
    raw.write_all(b"garbage\n{\"cmd\":\"NODE_NEWS\"}\n\"ok\"\n{\"half\":")
        .expect("written");
    let Received::Ignored(why) = end.next() else {
        panic!("garbage is no message")
    };
    assert!(why.contains("not JSON"), "{why}");
    assert_eq!(end.message().0, "ok", "Node's internal messages are not delivered");
    drop(raw);
    let Received::Closed(Some(error)) = end.next() else { panic!("half a line") };
    assert!(error.to_string().contains("middle of a line"), "{error}");
}

/// As in Node: the message that goes with a handle may be internal, too.
#[test]
fn an_internal_message_with_a_handle_is_not_delivered() {
    let (mut one, mut other) = ends();
    let (theirs, _ours) = tcp_pair();
    one.send_handle(json!({"cmd": "NODE_x"}), Handle::Tcp(theirs));
    one.send("next");
    assert!(other.poll().is_none(), "the handle is acknowledged, and closed");
    assert!(matches!(one.next(), Received::Acked));
    assert_eq!(other.message().0, "next");
}

/// Node sends a handle again, after a NACK, inside a second envelope.
#[test]
fn an_envelope_in_an_envelope_is_unwrapped() {
    let (one, other) = UnixStream::pair().expect("a pair");
    let mut parent = FdChannel::new(one, 1).expect("a channel");
    let mut end = End::new(other);
    let (theirs, ours) = tcp_pair();
    let envelope = json!({"cmd": "NODE_HANDLE", "type": "net.Native", "msg":
        {"cmd": "NODE_HANDLE", "type": "net.Socket", "msg": "hello", "key": "k"}});
    parent.send_envelope(&envelope, theirs.into()).expect("sent");
    let (text, handle) = end.message();
    assert_eq!(text, "hello");
    let Some(Handle::Tcp(arrived)) = handle else { panic!("not {handle:?}") };
    assert!(matches!(parent.receive()[..], [Received::Acked]), "one answer");
    assert_connected(arrived, ours);
}
