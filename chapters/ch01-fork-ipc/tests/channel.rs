//! Framing: a stream has no messages, so where does a message end?

mod common;

use std::{io::ErrorKind, io::Write, net::Shutdown};

use ch01_fork_ipc::{Channel, RecvError, SendError, is_internal};
use common::{Got, Script, Step, channel_and_peer, got, message};
use serde_json::{Value, json};

/// One value of each type, and what is hard about it.
fn values() -> Vec<Value> {
    vec![
        json!("server"),
        json!({"act": "suicide"}),
        json!(7),
        json!(-0.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(true),
        json!(null),
        json!([]),
        json!({"": [{}, [[]]]}),
        json!("héllo, 世界, 👩‍👩‍👧, e\u{301}, \u{0}, \u{2028}, \u{feff}"),
        json!("two\nlines\r\nand a \\n and a \" and a \u{7f}"),
        json!({"two\nlines": "a\n"}),
    ]
}

#[test]
fn every_value_arrives_as_it_was_sent() {
    let (mut ours, theirs) = channel_and_peer();
    let mut theirs = Channel::new(theirs);
    for value in values() {
        ours.send(&value).expect("it is sent");
        assert_eq!(message(&mut theirs), value);
    }
    drop(ours);
    assert_eq!(got(&mut theirs), Got::End);
}

#[test]
fn a_newline_inside_a_string_is_escaped_on_the_wire() {
    let mut wire = Channel::new(Vec::new());
    for value in values() {
        wire.send(&value).expect("it is sent");
    }
    let newlines = wire.stream().iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(
        newlines,
        values().len(),
        "one newline a message: a second would cut it in two"
    );
    assert_eq!(
        wire.stream().last(),
        Some(&b'\n'),
        "the last message ends with one as well"
    );
}

#[test]
fn the_order_of_an_object_s_fields_is_kept_as_in_node() {
    let mut channel =
        Channel::new(Script::pieces([&br#"{"z":1,"a":2,"m":3}"#[..], b"\n"]));
    assert_eq!(message(&mut channel).to_string(), r#"{"z":1,"a":2,"m":3}"#);
}

#[test]
fn messages_that_are_read_in_one_piece_are_returned_one_by_one() {
    let mut channel =
        Channel::new(Script::pieces([&b"1\n2\n\"three\"\n4"[..], b"2\n"]));
    for expected in [json!(1), json!(2), json!("three"), json!(42)] {
        assert_eq!(message(&mut channel), expected);
    }
    assert_eq!(got(&mut channel), Got::End);
}

#[test]
fn a_message_may_arrive_byte_by_byte() {
    let text = "{\"a\":\"é👍\"}\n[1,\n".as_bytes();
    let mut channel = Channel::new(Script::pieces(text.chunks(1)));
    assert_eq!(message(&mut channel), json!({"a": "é👍"}));
    assert_eq!(got(&mut channel), Got::NotJson);
    assert_eq!(got(&mut channel), Got::End);
}

#[test]
fn half_a_line_is_kept_while_a_non_blocking_stream_has_no_more() {
    let (mut ours, mut theirs) = channel_and_peer();
    ours.stream().set_nonblocking(true).expect("non-blocking");
    let nothing_yet = |ours: &mut Channel<_>| {
        ours.recv().expect_err("no whole line").would_block()
    };
    assert!(nothing_yet(&mut ours));
    for (piece, rest) in [(&b"[1"[..], true), (b",2", true), (b"]\n{\"a\"", false)]
    {
        theirs.write_all(piece).expect("the kernel takes it");
        assert_eq!(rest, ours.recv().is_err(), "after {piece:?}");
    }
    assert!(nothing_yet(&mut ours));
    theirs.write_all(b":1}\n").expect("the kernel takes it");
    assert_eq!(
        message(&mut ours),
        json!({"a": 1}),
        "both halves of the second line"
    );
    assert!(
        nothing_yet(&mut ours),
        "`Ok(None)` would say that the other side has closed"
    );
}

#[test]
fn a_signal_in_the_middle_of_a_read_is_no_error() {
    let interrupted = || Step::Fails(ErrorKind::Interrupted);
    let half = |text: &str| Step::Bytes(text.into());
    let steps =
        [interrupted(), half("[1,"), interrupted(), interrupted(), half("2]\n")];
    let mut channel = Channel::new(Script::new(steps));
    assert_eq!(message(&mut channel), json!([1, 2]));
    assert_eq!(got(&mut channel), Got::End);
}

#[test]
fn the_end_after_a_whole_line_is_the_end_and_stays_so() {
    let (mut ours, mut theirs) = channel_and_peer();
    theirs.write_all(b"1\n").expect("the kernel takes it");
    drop(theirs);
    assert_eq!(message(&mut ours), json!(1));
    assert!(matches!(ours.recv(), Ok(None)));
    assert!(matches!(ours.recv(), Ok(None)), "once more");
}

#[test]
fn the_end_in_the_middle_of_a_line_is_an_error() {
    let (mut ours, mut theirs) = channel_and_peer();
    theirs.write_all(b"1\n{\"cut\":").expect("the kernel takes it");
    theirs.shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(message(&mut ours), json!(1), "what was whole is not lost");
    let error = ours.recv().expect_err("half a line is no message");
    assert!(matches!(error, RecvError::HalfLine), "{error:?}");
    assert_eq!(error.to_string(), "the channel ended in the middle of a line");
}

#[test]
fn a_bad_line_is_an_error_and_the_next_line_is_read_all_the_same() {
    let bad: [&[u8]; 8] = [
        b"{",
        b"",
        b"nonsense",
        b"1 2",
        b"\xff\xfe",
        b"\xef\xbb\xbf1",
        b"\"half a pair: \\ud800\"",
        b"\x00",
    ];
    for line in bad {
        let mut channel = Channel::new(Script::pieces([line, b"\n[1]\n"]));
        assert_eq!(
            got(&mut channel),
            Got::NotJson,
            "{:?}",
            String::from_utf8_lossy(line)
        );
        assert_eq!(
            message(&mut channel),
            json!([1]),
            "behind {:?}",
            String::from_utf8_lossy(line)
        );
    }
}

/// serde_json reads 127 levels. Node reads more.
#[test]
fn nesting_without_end_is_an_error_not_a_stack_overflow() {
    for (depth, expected) in [
        (128, Got::NotJson),
        (1 << 17, Got::NotJson),
        (1 << 20, Got::TooManyValues),
    ] {
        let deep = "[".repeat(depth) + &"]".repeat(depth);
        let mut channel = Channel::new(Script::pieces([deep.as_bytes(), b"\n7\n"]));
        assert_eq!(got(&mut channel), expected, "{depth} levels");
        assert_eq!(message(&mut channel), json!(7));
    }
}

/// Node's `StringDecoder` does the same. The line is a message; before, it was
/// refused.
#[test]
fn a_byte_that_is_not_utf_8_is_replaced_as_in_node() {
    let lines: [(&[u8], &str); 5] = [
        (b"\"a\xffb\"", "a\u{fffd}b"),
        (b"\"\xff\xfe\"", "\u{fffd}\u{fffd}"),
        (b"\"\xe2\x82\"", "\u{fffd}"),
        (b"\"\xf0\x9f\x91x\"", "\u{fffd}x"),
        (b"\"\xed\xa0\x80\"", "\u{fffd}\u{fffd}\u{fffd}"),
    ];
    for (line, text) in lines {
        for size in 1..=line.len() {
            let pieces = line.chunks(size).chain([&b"\n1\n"[..]]);
            let mut channel = Channel::new(Script::pieces(pieces));
            assert_eq!(message(&mut channel), text, "{line:x?}");
            assert_eq!(message(&mut channel), 1, "after {line:x?}");
        }
    }
}

/// A peer that exits with unread bytes resets even a Unix socket (unix(7)).
#[test]
fn a_reset_counts_as_the_end() {
    let (mut ours, mut theirs) = channel_and_peer();
    ours.send(&json!("it stays unread")).expect("it is sent");
    theirs.write_all(b"\"last words\"\n").expect("the kernel takes it");
    drop(theirs);
    assert_eq!(message(&mut ours), json!("last words"));
    assert_eq!(got(&mut ours), Got::End);

    let reset = Step::Fails(ErrorKind::ConnectionReset);
    let mut channel = Channel::new(Script::new([Step::Bytes(b"[".into()), reset]));
    assert_eq!(
        got(&mut channel),
        Got::HalfLine,
        "a reset does not make half a line whole"
    );
}

#[test]
fn to_send_to_a_closed_channel_is_an_error_not_a_signal() {
    let (mut ours, theirs) = channel_and_peer();
    drop(theirs);
    match ours.send(&json!(1)) {
        Err(SendError::Io(error)) => {
            assert_eq!(error.kind(), ErrorKind::BrokenPipe)
        }
        other => {
            panic!("write(2) fails with EPIPE and raises no SIGPIPE; got {other:?}")
        }
    }
}

#[test]
fn only_objects_whose_cmd_begins_with_node_and_goes_on_are_internal() {
    for internal in
        [json!({"cmd": "NODE_HANDLE"}), json!({"a": 1, "cmd": "NODE_x"})]
    {
        assert!(is_internal(&internal), "{internal}");
    }
    let own = [
        json!({"cmd": "NODE_"}),
        json!({"cmd": "node_handle"}),
        json!({"cmd": "MY_NODE_"}),
        json!({"cmd": ["NODE_HANDLE"]}),
        json!({"message": {"cmd": "NODE_HANDLE"}}),
        json!(["cmd", "NODE_HANDLE"]),
        json!("NODE_HANDLE"),
        json!(null),
    ];
    for own in own {
        assert!(!is_internal(&own), "{own} is the program's own");
    }
}
