//! What a channel does when there is too much: of one message, or of all of them.

mod common;

use std::{
    io::{self, ErrorKind, Write},
    os::unix::net::UnixStream,
    thread,
};

use ch01_fork_ipc::{Channel, Line, MAX_MESSAGE, SendError};
use common::{Got, Script, Step, channel_and_peer, got, message};
use serde_json::{Value, json};

/// A string that is `length` bytes long in JSON, with its two quotes.
fn value_of(length: usize) -> Value {
    Value::from("x".repeat(length - 2))
}

/// A stream that takes `room` bytes and then no more.
struct Narrow {
    room: usize,
    got: Vec<u8>,
}

impl Write for Narrow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(self.room);
        if taken == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.room -= taken;
        self.got.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn narrow(room: usize) -> Channel<Narrow> {
    Channel::new(Narrow { room, got: Vec::new() })
}

#[test]
fn sixteen_mebibytes_pass_and_one_byte_more_does_not() {
    assert_eq!(MAX_MESSAGE, 16 << 20);
    let (mut ours, theirs) = channel_and_peer();
    let reader = thread::spawn(move || {
        let mut theirs = Channel::new(theirs);
        (message(&mut theirs), message(&mut theirs))
    });
    ours.send(&value_of(MAX_MESSAGE)).expect("16 MiB are allowed");
    let refused =
        ours.send(&value_of(MAX_MESSAGE + 1)).expect_err("one byte more is not");
    assert!(matches!(refused, SendError::TooLong), "{refused:?}");
    ours.send(&json!("next")).expect("nothing of the long one was queued");
    let (long, next) = reader.join().expect("the reader");
    assert_eq!(long.as_str().map(str::len), Some(MAX_MESSAGE - 2));
    assert_eq!(next, "next");
}

/// The newline is not counted, and whether it comes with the last byte or later changes nothing.
#[test]
fn a_line_is_too_long_from_its_first_byte_above_the_limit() {
    let most = value_of(MAX_MESSAGE).to_string().into_bytes();
    let mut channel = Channel::new(Script::pieces([&most[..], b"\n1\n"]));
    assert!(matches!(got(&mut channel), Got::Message(_)), "16 MiB and the newline");
    assert_eq!(message(&mut channel), json!(1));

    let mut channel = Channel::new(Script::pieces([&most[..], b" ", b"\n1\n"]));
    assert_eq!(got(&mut channel), Got::TooLong);
    assert_eq!(
        got(&mut channel),
        Got::TooLong,
        "it stays so: there is no way back into the stream"
    );
    let mut channel = Channel::new(Script::pieces([&most[..], b" \n1\n"]));
    assert_eq!(
        got(&mut channel),
        Got::TooLong,
        "also where the newline has come already"
    );
}

#[test]
fn a_line_without_end_is_refused_before_it_eats_the_memory() {
    let endless = (0..1024).map(|_| Step::Bytes(vec![b'x'; 64 << 10]));
    let mut channel = Channel::new(Script::new(endless));
    assert_eq!(got(&mut channel), Got::TooLong);
    let taken = channel.stream().taken;
    assert!(
        taken <= MAX_MESSAGE + (64 << 10),
        "{taken} of 64 MiB were read before it gave up"
    );
}

#[test]
fn what_a_full_stream_does_not_take_is_kept_and_leaves_later() {
    let mut channel = narrow(4);
    channel.send(&json!([1, 2])).expect("queued is sent");
    assert_eq!((channel.unsent(), channel.flushed(), channel.queued()), (2, 4, 6));
    channel.send(&json!(3)).expect("behind the first");
    assert_eq!((channel.unsent(), channel.queued()), (4, 8));
    assert!(
        !channel.flush().expect("full is no error"),
        "`false`: wait for POLLOUT"
    );

    channel.stream_mut().room = 3;
    assert!(!channel.flush().expect("full is no error"));
    assert_eq!((channel.unsent(), channel.flushed()), (1, 7));
    channel.stream_mut().room = 100;
    assert!(
        channel.flush().expect("there is room"),
        "`true`: the kernel has it all"
    );
    assert_eq!((channel.unsent(), channel.flushed(), channel.queued()), (0, 8, 8));
    assert_eq!(channel.stream().got, b"[1,2]\n3\n", "in order, each byte once");
}

#[test]
fn more_than_sixteen_mebibytes_are_not_queued_for_one_who_does_not_read() {
    let mut channel = narrow(0);
    channel.send(&value_of(MAX_MESSAGE)).expect("the queue was empty");
    let waiting = channel.unsent();
    let refused =
        channel.send(&json!(1)).expect_err("more than 16 MiB wait already");
    assert!(matches!(refused, SendError::Full), "{refused:?}");
    assert_eq!(channel.unsent(), waiting, "nothing was queued");

    channel.stream_mut().room = 2;
    channel.flush().expect("full is no error");
    channel.send(&json!(1)).expect("there is room again");
    channel.stream_mut().room = usize::MAX;
    assert!(channel.flush().expect("there is room"));
    assert!(channel.stream().got.ends_with(b"x\"\n1\n"));
}

#[test]
fn a_socket_that_nobody_reads_is_full_and_not_blocked() {
    let (mut ours, theirs) = channel_and_peer();
    ours.stream().set_nonblocking(true).expect("non-blocking");
    ours.send(&value_of(1 << 20)).expect("what the kernel does not take is kept");
    assert!(ours.unsent() > 0, "a socket buffer holds less than 1 MiB");
    ours.send(&json!("last")).expect("behind it");

    let reader = thread::spawn(move || {
        let mut theirs = Channel::new(theirs);
        (message(&mut theirs), message(&mut theirs))
    });
    testkit::eventually(
        "the rest leaves while somebody reads",
        common::LONG,
        || ours.flush().expect("nobody has closed"),
    );
    let (long, last) = reader.join().expect("the reader");
    assert_eq!(
        (long.as_str().map(str::len), last),
        (Some((1 << 20) - 2), json!("last"))
    );
}

#[test]
fn a_line_is_made_once_and_sent_to_many() {
    let line = Line::new(&json!({"to": "all"})).expect("it is short");
    assert_eq!((line.len(), line.message()), (13, json!({"to": "all"})));
    for _ in 0..3 {
        let (mut ours, theirs) = channel_and_peer();
        ours.send_line(&line).expect("it is sent");
        assert_eq!(
            message(&mut Channel::<UnixStream>::new(theirs)),
            json!({"to": "all"})
        );
    }
    assert!(matches!(
        Line::new(&value_of(MAX_MESSAGE + 1)),
        Err(SendError::TooLong)
    ));
}

/// serde_json makes lines that it does not read again: deeper than 128, the answer is null.
#[test]
fn a_line_gives_its_message_back_as_deep_as_a_receiver_can_read_it() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let line = |message: &Value| Line::new(message).expect("it is short");
    assert_eq!(line(&nested(127)).message(), nested(127));
    assert_eq!(line(&nested(200)).message(), json!(null));
}
