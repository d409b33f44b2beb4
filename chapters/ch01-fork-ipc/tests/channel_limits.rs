//! What a channel does when there is too much: of one message, or of all messages.

mod common;

use std::{
    io::{self, ErrorKind, Write},
    thread,
};

use ch01_fork_ipc::{
    Channel, MAX_MESSAGE, MAX_VALUES, SendError, from_line, to_line,
};
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
fn sixteen_mebibytes_are_sent_and_one_byte_more_is_refused() {
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

/// The newline does not count, whether it arrives with the last byte or later.
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
        "again: where the next line begins is not known"
    );
    let mut channel = Channel::new(Script::pieces([&most[..], b" \n1\n"]));
    assert_eq!(
        got(&mut channel),
        Got::TooLong,
        "even if the newline has arrived already"
    );
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let endless = (0..1024).map(|_| Step::Bytes(vec![b'x'; 64 << 10]));
    let mut channel = Channel::new(Script::new(endless));
    assert_eq!(got(&mut channel), Got::TooLong);
    let taken = channel.stream().taken;
    assert!(
        taken <= MAX_MESSAGE + (64 << 10),
        "{taken} of 64 MiB were read before it was refused"
    );
}

/// `count` values, the array included: `[0,0,…]`.
fn array_of(count: usize) -> Value {
    Value::from(vec![0; count - 1])
}

#[test]
fn a_quarter_of_a_million_values_are_sent_and_one_more_is_refused() {
    let most = array_of(MAX_VALUES);
    let line = to_line(&most).expect("so many are allowed");
    assert_eq!(from_line(line.trim_ascii_end()).expect("here too"), most);
    let refused = to_line(&array_of(MAX_VALUES + 1)).expect_err("one too many");
    assert!(matches!(refused, SendError::TooLong), "{refused:?}");
    // In a string, the same characters are text.
    let text = json!({"text": "[{,\\\",\"".repeat(MAX_VALUES)});
    let line = to_line(&text).expect("three values");
    assert_eq!(from_line(line.trim_ascii_end()).expect("three values"), text);
}

#[test]
fn a_line_of_too_many_values_is_skipped_and_the_next_line_is_read() {
    let many = array_of(MAX_VALUES + 1).to_string().into_bytes();
    let mut channel = Channel::new(Script::pieces([&many[..], b"\n[1]\n"]));
    assert_eq!(got(&mut channel), Got::TooManyValues);
    assert_eq!(message(&mut channel), json!([1]));
}

#[test]
fn what_a_full_stream_does_not_take_is_kept_and_sent_later() {
    let mut channel = narrow(4);
    channel.send(&json!([1, 2])).expect("it is queued");
    assert_eq!(channel.unsent(), 2);
    channel.send(&json!(3)).expect("it is queued behind the first");
    assert_eq!(channel.unsent(), 4);
    assert!(
        !channel.flush().expect("full is no error"),
        "`false`: wait for POLLOUT"
    );

    channel.stream_mut().room = 3;
    assert!(!channel.flush().expect("full is no error"));
    assert_eq!(channel.unsent(), 1);
    channel.stream_mut().room = 100;
    assert!(
        channel.flush().expect("there is room"),
        "`true`: the kernel has taken it all"
    );
    assert_eq!(channel.unsent(), 0);
    assert_eq!(channel.stream().got, b"[1,2]\n3\n", "in order, each byte once");
}

#[test]
fn more_than_sixteen_mebibytes_are_not_queued_for_a_peer_that_does_not_read() {
    let mut channel = narrow(0);
    channel.send(&value_of(MAX_MESSAGE)).expect("the queue was empty");
    let unsent = channel.unsent();
    let refused =
        channel.send(&json!(1)).expect_err("more than 16 MiB are unsent already");
    assert!(matches!(refused, SendError::Full), "{refused:?}");
    assert_eq!(channel.unsent(), unsent, "nothing was queued");

    channel.stream_mut().room = 2;
    channel.flush().expect("full is no error");
    channel.send(&json!(1)).expect("there is room again");
    channel.stream_mut().room = usize::MAX;
    assert!(channel.flush().expect("there is room"));
    assert!(channel.stream().got.ends_with(b"x\"\n1\n"));
}

/// The limit counts bytes. The queue has no cost for each message, so that short
/// messages need no smaller limit.
#[test]
fn ten_thousand_short_messages_are_queued_for_a_peer_that_does_not_read() {
    let mut channel = narrow(0);
    for n in 0..10_000 {
        channel.send(&json!("12345678")).unwrap_or_else(|why| panic!("{n}: {why}"));
    }
    assert_eq!(channel.unsent(), 110_000);
}

#[test]
fn a_non_blocking_socket_that_its_peer_does_not_read_does_not_block() {
    let (mut ours, theirs) = channel_and_peer();
    ours.stream().set_nonblocking(true).expect("non-blocking");
    ours.send(&value_of(1 << 20)).expect("what the kernel does not take is kept");
    assert!(ours.unsent() > 0, "a socket's buffer holds less than 1 MiB");
    ours.send(&json!("last")).expect("it is queued");

    let reader = thread::spawn(move || {
        let mut theirs = Channel::new(theirs);
        (message(&mut theirs), message(&mut theirs))
    });
    testkit::eventually("the rest is sent once it is read", common::LONG, || {
        ours.flush().expect("the peer has not closed")
    });
    let (long, last) = reader.join().expect("the reader");
    assert_eq!(
        (long.as_str().map(str::len), last),
        (Some((1 << 20) - 2), json!("last"))
    );
}
