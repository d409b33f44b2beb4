//! Handles on their way from one channel to another, inside one process.

mod common;

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use ch02_balance::FdChannel;
use ch03_handles::{Delivery, Handle, HandleChannel, Kind};
use common::{
    ask, assert_connected, channels, message, next, tcp_listener, tcp_pair,
    try_next, udp,
};
use nix::unistd::pipe;
use serde_json::{Map, Value, json};
use testkit::temp_dir;

/// Sends `handle` through a channel; what comes out must be of the same type.
#[track_caller]
fn carry(handle: Handle) -> Handle {
    let (mut one, mut other) = channels();
    let (said, is) = (handle.node_type(), Kind::of(&handle).expect("open"));
    one.send_handle(json!({"a": "handle"}), handle).expect("it is sent");
    let (text, arrived) = message(&mut other);
    assert_eq!(text, json!({"a": "handle"}), "{said} came with another message");
    let arrived =
        arrived.unwrap_or_else(|| panic!("{said} came without its handle"));
    assert_eq!(
        (arrived.node_type(), Kind::of(&arrived).expect("open")),
        (said, is)
    );
    assert!(matches!(next(&mut one), Delivery::Acked), "{said} is acknowledged");
    arrived
}

/// The channel does what it has to do by itself, and there is nothing to tell of that.
#[track_caller]
fn assert_silent(channel: &mut HandleChannel) {
    loop {
        match channel.recv() {
            Ok(Some(Delivery::Internal)) => {}
            Err(error) if error.would_block() => return,
            other => panic!("nothing was to come, not {other:?}"),
        }
    }
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
        panic!("a type")
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
        panic!("a type")
    };
    assert_connected(UnixStream::from(arrived), ours);
}

#[test]
fn a_pipe_works_where_it_arrives() {
    let (reader, writer) = pipe().expect("a pipe");
    let Handle::Native(arrived) = carry(Handle::Native(writer)) else {
        panic!("another type")
    };
    assert_connected(std::fs::File::from(arrived), std::fs::File::from(reader));
}

#[test]
fn a_listener_accepts_where_it_arrives() {
    let listener = tcp_listener();
    let address = listener.local_addr().expect("an address");
    let Handle::TcpListener(arrived) = carry(Handle::TcpListener(listener)) else {
        panic!("type")
    };
    let client = TcpStream::connect(address).expect("somebody listens");
    assert_connected(client, arrived.accept().expect("a connection").0);

    let dir = temp_dir();
    let path = dir.path().join("socket");
    let listener = UnixListener::bind(&path).expect("a Unix listener");
    let Handle::UnixListener(arrived) = carry(Handle::UnixListener(listener))
    else {
        panic!("another type")
    };
    let client = UnixStream::connect(&path).expect("somebody listens");
    assert_connected(client, arrived.accept().expect("a connection").0);
}

#[test]
fn a_udp_socket_takes_datagrams_where_it_arrives() {
    for bare in [false, true] {
        let socket = udp();
        let address = socket.local_addr().expect("an address");
        let handle = if bare {
            Handle::UdpNative(socket.into())
        } else {
            Handle::Udp(socket)
        };
        let arrived = std::net::UdpSocket::from(OwnedFd::from(carry(handle)));
        let answering = std::thread::spawn(move || {
            let (_, sender) = arrived.recv_from(&mut [0; 99]).expect("a datagram");
            arrived.send_to(b"here", sender).expect("an answer");
        });
        assert_eq!(ask(address).expect("an answer"), "here");
        answering.join().expect("it answers");
    }
}

#[test]
fn the_sender_s_copy_is_closed_once_it_is_acknowledged() {
    let (theirs, mut ours) = UnixStream::pair().expect("a pair");
    drop(carry(Handle::Unix(theirs)));
    assert_eq!(
        ours.read(&mut [0]).expect("the end"),
        0,
        "somebody still holds a copy"
    );
}

#[test]
fn what_is_not_what_it_says_comes_as_wrong_and_the_channel_lives_on() {
    let (one, other) = UnixStream::pair().expect("a pair");
    let mut liar = FdChannel::new(one).expect("a channel");
    let mut channel = HandleChannel::new(other).expect("a channel");
    let (mut reader, writer) =
        pipe().map(|(r, w)| (std::fs::File::from(r), w)).expect("a pipe");
    liar.pass("net.Server", Map::new(), Value::from("server"), writer)
        .expect("sent");
    let Delivery::Wrong(text, wrong) = next(&mut channel) else {
        panic!("it was believed")
    };
    assert_eq!((text, wrong.is), (Value::from("server"), Kind::Pipe));

    // It has arrived all the same, so it is acknowledged, and what waits behind it can leave.
    liar.recv().expect("an answer");
    assert_eq!(
        reader.read(&mut [0]).expect("the end"),
        0,
        "what is wrong is closed"
    );
    liar.send(&Value::from("next")).expect("sent");
    assert_eq!(message(&mut channel).0, "next");
}

#[test]
fn a_handle_message_without_its_descriptor_is_asked_for_again() {
    let (mut raw, other) = UnixStream::pair().expect("a pair");
    let mut channel = HandleChannel::new(other).expect("a channel");
    raw.write_all(
        b"{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\",\"msg\":1}\n\"next\"\n",
    )
    .expect("written");
    assert!(matches!(next(&mut channel), Delivery::Missing));
    assert_eq!(message(&mut channel).0, "next", "the channel lives on");
    let mut answer = String::new();
    BufReader::new(raw).read_line(&mut answer).expect("an answer");
    assert_eq!(answer, "{\"cmd\":\"NODE_HANDLE_NACK\"}\n");
}

#[test]
fn a_handle_that_is_refused_three_times_comes_back() {
    let (raw, other) = UnixStream::pair().expect("a pair");
    let mut channel = HandleChannel::new(other).expect("a channel");
    let (theirs, ours) = tcp_pair();
    channel.send_handle(json!(["who"]), Handle::Tcp(theirs)).expect("sent");
    channel.send(&Value::from("behind it")).expect("queued");
    let mut lines = BufReader::new(&raw).lines();
    for n in 1..=3 {
        let line = lines.next().expect("a line").expect("readable");
        let line: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(
            line["cmd"], "NODE_HANDLE",
            "try {n} comes before what waits behind it"
        );
        (&raw).write_all(b"{\"cmd\":\"NODE_HANDLE_NACK\"}\n").expect("written");
        if n < 3 {
            assert_silent(&mut channel);
        }
    }
    let Delivery::Refused(text, fd) = next(&mut channel) else {
        panic!("it was to come back")
    };
    assert_eq!(text, json!(["who"]));
    assert_connected(TcpStream::from(fd), ours);
    assert_silent(&mut channel);
    assert_eq!(lines.next().expect("a line").expect("readable"), "\"behind it\"");
}

#[test]
fn a_thousand_messages_and_handles_keep_their_order() {
    let (mut one, mut other) = channels();
    let mut far_ends = Vec::new();
    for n in 0..1000 {
        if n % 2 == 0 {
            one.send(&Value::from(n)).expect("queued");
        } else {
            let (theirs, ours) = UnixStream::pair().expect("a pair");
            one.send_handle(Value::from(n), Handle::Unix(theirs)).expect("queued");
            far_ends.push(ours);
        }
    }
    let mut far_ends = far_ends.into_iter();
    let mut expected = 0;
    while expected < 1000 {
        let received = match other.recv() {
            Ok(Some(Delivery::Message(received))) => received,
            Ok(Some(Delivery::Internal)) | Err(_) => {
                // One of them has to read for the other to go on.
                let _ = one.recv();
                continue;
            }
            other => panic!("a message was to come, not {other:?}"),
        };
        assert_eq!(received.message, expected);
        assert_eq!(
            received.handle.is_some(),
            expected % 2 == 1,
            "message {expected}"
        );
        if let Some(Handle::Unix(mut stream)) = received.handle {
            // Not to its end: the sender holds its copy until it has read the ACK.
            stream
                .write_all(&i32::to_be_bytes(expected))
                .expect("it can be written");
            let mut heard = [0; 4];
            let mut far_end = far_ends.next().expect("its other end");
            far_end.set_nonblocking(true).expect("a Unix stream");
            far_end
                .read_exact(&mut heard)
                .expect("a handle came with another's message");
            assert_eq!(i32::from_be_bytes(heard), expected);
        }
        expected += 1;
    }
}

#[test]
fn a_channel_says_what_it_does_not_understand_and_goes_on() {
    let (mut raw, other) = UnixStream::pair().expect("a pair");
    let mut channel = HandleChannel::new(other).expect("a channel");
    raw.write_all(b"garbage\n{\"cmd\":\"NODE_NEWS\"}\n\"ok\"\n{\"half\":")
        .expect("written");
    let error = try_next(&mut channel).expect_err("garbage is no message");
    assert!(error.to_string().contains("not JSON"), "{error}");
    assert_eq!(
        message(&mut channel).0,
        "ok",
        "Node's internal messages are never shown"
    );
    drop(raw);
    let error = try_next(&mut channel).expect_err("half a line is no message");
    assert!(error.to_string().contains("middle of a line"), "{error}");
    assert!(
        channel.as_fd().try_clone_to_owned().is_ok(),
        "it can be dropped in peace"
    );
}
