//! The envelope: who owns a descriptor while it is in flight?

mod common;

use std::io::Read;

use ch01_fork_ipc::{MAX_MESSAGE, SendError};
use ch02_balance::Received;
use common::{
    channel_and_peer, envelope, is_cloexec, name_of, open_here, thing, two_channels,
};
use serde_json::{Value, json};

#[test]
fn a_descriptor_arrives_with_its_message() {
    let (mut ours, mut theirs) = two_channels(1);
    let (mut other, fd) = thing();
    let name = name_of(&fd);
    let line = json!({
        "cmd": "NODE_HANDLE", "type": "dgram.Socket", "dgramType": "udp4",
        "key": "4:1337", "msg": {"to": "you"}
    });
    ours.send_envelope(&line, fd).expect("there is room");
    let (message, handle) = theirs.next_handle();
    assert_eq!(message, json!({"to": "you"}));
    assert_eq!(handle.kind, "dgram.Socket");
    assert_eq!(handle.key.as_deref(), Some("4:1337"));
    assert_eq!(name_of(&handle.fd), name);
    assert!(is_cloexec(&handle.fd), "or a child that is started next inherits it");
    ours.next_ack();
    drop(handle);
    assert_eq!(open_here(&name), 0, "our copy is closed, too");
    assert_eq!(other.read(&mut [0; 1]).expect("the end"), 0);
}

#[test]
fn messages_and_descriptors_stay_in_order_even_when_one_read_brings_several() {
    for window in [1, 3, 64] {
        let (mut ours, mut theirs) = two_channels(window);
        let mut expected = Vec::new();
        for (n, has_fd) in [false, true, false, true, true].into_iter().enumerate()
        {
            if has_fd {
                let (_, fd) = thing();
                expected.push((json!(n), Some(name_of(&fd))));
                ours.give(json!(n), fd);
            } else {
                expected.push((json!(n), None));
                ours.send(&json!(n)).expect("there is room");
            }
        }
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            match theirs.next() {
                Received::Message(message) => seen.push((message, None)),
                Received::Handle(message, handle) => {
                    seen.push((message, Some(name_of(&handle.fd))));
                    ours.next_ack();
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(seen, expected, "window {window}");
    }
}

#[test]
fn a_thousand_messages_and_descriptors_each_way_at_once() {
    let (mut a, mut b) = two_channels(16);
    let mut seen = [0, 0];
    let mut sent = 0;
    while seen != [1000, 1000] {
        if sent < 1000 {
            for channel in [&mut a, &mut b] {
                if sent % 3 == 0 {
                    channel.give(json!(sent), thing().1);
                } else {
                    channel.send(&json!(sent)).expect("there is room");
                }
            }
            sent += 1;
        }
        for (channel, seen) in [&mut a, &mut b].into_iter().zip(&mut seen) {
            for received in channel.receive() {
                let (message, has_fd) = match received {
                    Received::Message(message) => (message, false),
                    Received::Handle(message, _) => (message, true),
                    Received::Acked => continue,
                    other => panic!("after {seen}: {other:?}"),
                };
                assert_eq!((message, has_fd), (json!(*seen), *seen % 3 == 0));
                *seen += 1;
            }
        }
    }
}

/// The descriptor comes with the first piece, the envelope is whole with the last.
#[test]
fn a_mebibyte_arrives_in_pieces_and_its_descriptor_with_the_first() {
    let (mut ours, mut theirs) = two_channels(1);
    let (_other, fd) = thing();
    let name = name_of(&fd);
    ours.give(Value::from("x".repeat(1 << 20)), fd);
    ours.send(&json!("after")).expect("there is room");
    let mut received = Vec::new();
    while received.is_empty() {
        ours.pump();
        received = theirs.receive();
    }
    let Some(Received::Handle(message, handle)) = received.pop() else {
        panic!("no handle")
    };
    assert_eq!(message.as_str().map(str::len), Some(1 << 20));
    assert_eq!(name_of(&handle.fd), name);
    ours.next_ack();
    assert_eq!(theirs.next_message(), "after");
}

/// If we die with it, its sender must know that it was ours: so the answer goes
/// first.
#[test]
fn a_handle_is_delivered_only_after_its_answer_has_left() {
    let (mut ours, mut peer) = channel_and_peer(1);
    peer.hand_over(json!(1), &thing().1);
    ours.next_handle();
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_ACK"})]);

    // If the answer cannot leave, because the peer does not read, the handle has
    // to wait.
    let long = Value::from("x".repeat(1 << 20));
    ours.send(&long).expect("what does not fit is queued");
    peer.hand_over(json!(2), &thing().1);
    ours.assert_nothing();
    let mut lines = Vec::new();
    while lines.len() < 2 {
        lines.extend(peer.lines_here());
        ours.pump();
    }
    assert!(lines[0] == long && lines[1]["cmd"] == "NODE_HANDLE_ACK", "in order");
    assert_eq!(ours.next_handle().0, json!(2));
}

/// As in Node: the next descriptor, and every message, waits for the answer.
#[test]
fn with_a_window_of_one_everything_behind_a_handle_waits_for_its_answer() {
    let (mut ours, mut peer) = channel_and_peer(1);
    assert!(ours.has_room());
    ours.give(json!("first"), thing().1);
    assert!(!ours.has_room());
    ours.send(&json!("message")).expect("queued is sent");
    ours.give(json!("second"), thing().1);
    assert_eq!(peer.lines_here(), [envelope(json!("first"))]);
    peer.ack();
    ours.next_ack();
    assert_eq!(peer.lines_here(), [json!("message"), envelope(json!("second"))]);
    peer.ack();
    ours.next_ack();
    assert!(ours.has_room());
}

#[test]
fn a_larger_window_does_not_wait_for_each_answer() {
    let (mut ours, mut peer) = channel_and_peer(3);
    for n in 0..5 {
        ours.give(json!(n), thing().1);
    }
    assert_eq!(peer.lines_here(), [0, 1, 2].map(|n| envelope(json!(n))));
    assert!(!ours.has_room());
    peer.ack();
    ours.next_ack();
    assert_eq!(peer.lines_here(), [envelope(json!(3))], "one answer, one more");
}

#[test]
fn a_handle_that_does_not_arrive_is_sent_three_times_and_then_given_back() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let (_other, fd) = thing();
    let name = name_of(&fd);
    ours.give(json!({"n": 1}), fd);
    ours.send(&json!("after")).expect("there is room");
    for attempt in 1..=3 {
        let lines = peer.lines_here();
        assert_eq!(lines, [envelope(json!({"n": 1}))], "attempt {attempt}");
        ours.assert_nothing();
        peer.nack();
        if attempt < 3 {
            ours.assert_nothing();
        }
    }
    match ours.next() {
        Received::Returned(message, fd) => {
            assert_eq!(message, json!({"n": 1}), "without the envelope");
            let seen = (name_of(&fd), open_here(&name));
            assert_eq!(seen, (name, 1), "the very descriptor");
        }
        other => panic!("three times is enough: {other:?}"),
    }
    assert_eq!(peer.lines_here(), [json!("after")], "the channel goes on");
}

/// Node's child gets a with its socket, b, and then the end.
#[test]
fn disconnect_waits_for_everything_that_was_sent_before_it() {
    let (mut ours, mut peer) = channel_and_peer(1);
    ours.give(json!("a"), thing().1);
    ours.send(&json!("b")).expect("there is room");
    ours.give(json!("c"), thing().1);
    ours.disconnect().expect("once");
    assert_eq!(peer.line(), envelope(json!("a")));
    peer.ack();
    ours.next_ack();
    assert_eq!(peer.line(), json!("b"));
    assert_eq!(peer.line(), envelope(json!("c")));
    peer.nack();
    ours.assert_nothing();
    assert_eq!(peer.line(), envelope(json!("c")), "even what has to be sent again");
    peer.say(&json!("what the peer sends still arrives"));
    peer.ack();
    ours.next_message();
    ours.next_ack();
    peer.end();
    drop(peer);
    assert!(matches!(ours.next(), Received::Closed(None)));
}

#[test]
fn after_disconnect_and_after_the_end_nothing_can_be_sent() {
    let (mut ours, peer) = channel_and_peer(1);
    ours.disconnect().expect("once");
    for state in ["disconnected", "closed"] {
        let again = ours.disconnect().expect_err("twice");
        assert!(matches!(again, SendError::Closed), "{state}: {again:?}");
        let message = ours.send(&json!(1)).expect_err("too late");
        assert!(matches!(message, SendError::Closed), "{state}: {message:?}");
        let (_other, fd) = thing();
        let name = name_of(&fd);
        let handle =
            ours.send_handle("net.Socket", json!(1), fd).expect_err("too late");
        assert!(matches!(handle.error, SendError::Closed), "{state}: {handle:?}");
        assert_eq!(name_of(&handle.fd), name, "{state}: it comes back");
        if state == "disconnected" {
            peer.0.stream().shutdown(std::net::Shutdown::Both).expect("the end");
            assert!(matches!(ours.next(), Received::Closed(None)));
            assert!(ours.receive().is_empty(), "nothing comes after that");
        }
    }
}

/// Everything that is in a channel when the peer dies, whatever its state.
#[test]
fn what_a_dead_peer_never_acknowledged_comes_back_oldest_first() {
    let (mut ours, mut peer) = channel_and_peer(2);
    let names: Vec<String> = (0..5)
        .map(|n| {
            let (_, fd) = thing();
            let name = name_of(&fd);
            ours.give(json!({"n": n}), fd);
            name
        })
        .collect();
    ours.send(&json!("a message without a handle is not kept"))
        .expect("there is room");
    peer.ack();
    ours.next_ack();
    drop(peer);
    assert!(matches!(ours.next(), Received::Closed(None)));
    let back = ours.channel().into_unacknowledged();
    let seen: Vec<_> =
        back.iter().map(|(message, fd)| (message.clone(), name_of(fd))).collect();
    let expected: Vec<_> =
        (1..5).map(|n| (json!({"n": n}), names[n].clone())).collect();
    assert_eq!(seen, expected, "two in flight and two in the queue; one arrived");
}

/// A peer that lives may answer the client although we never read its ACK.
#[test]
fn a_handle_that_a_living_peer_may_have_is_not_given_back() {
    for disconnect in [false, true] {
        let (mut ours, mut peer) = channel_and_peer(1);
        let ((mut client, in_flight), (_other, queued)) = (thing(), thing());
        let (name, queued_name) = (name_of(&in_flight), name_of(&queued));
        ours.give(json!(1), in_flight);
        ours.give(json!(2), queued);
        if disconnect {
            ours.disconnect().expect("once");
        }
        assert_eq!(peer.line(), envelope(json!(1)));
        peer.ack();
        let back = ours.channel().into_unacknowledged();
        let names: Vec<_> = back.iter().map(|(_, fd)| name_of(fd)).collect();
        assert_eq!(names, [queued_name], "only what was never written");
        drop(peer);
        assert_eq!(open_here(&name), 0, "our copy is closed");
        assert_eq!(client.read(&mut [0]).expect("the end"), 0);
    }
}

/// Its own ACK cannot leave any more, so the sender takes the handle back.
#[test]
fn a_handle_that_arrives_after_our_disconnect_belongs_to_its_sender() {
    let (mut ours, mut theirs) = two_channels(1);
    theirs.disconnect().expect("once");
    let (_other, fd) = thing();
    let name = name_of(&fd);
    ours.give(json!(1), fd);
    let why = theirs.next_ignored();
    assert!(why.contains("disconnect"), "{why}");
    assert!(matches!(ours.next(), Received::Closed(None)));
    let back = ours.channel().into_unacknowledged();
    assert_eq!((back.len(), open_here(&name)), (1, 1), "one owner");
}

/// The peer dies before, while or after a handle is written: it comes back each
/// time.
#[test]
fn a_handle_for_a_peer_that_has_gone_comes_back_at_any_moment() {
    for moment in ["before", "while", "after"] {
        let (mut ours, peer) = channel_and_peer(1);
        let mut peer = Some(peer);
        if moment == "before" {
            peer = None;
        }
        let (_other, fd) = thing();
        let name = name_of(&fd);
        let size = if moment == "while" { 1 << 20 } else { 1 };
        ours.give(Value::from("x".repeat(size)), fd);
        ours.give(json!(2), thing().1);
        drop(peer);
        let end = ours.next();
        assert!(matches!(end, Received::Closed(None)), "{moment}: {end:?}");
        let back = ours.channel().into_unacknowledged();
        assert_eq!(back.len(), 2, "{moment}");
        assert_eq!(name_of(&back[0].1), name, "{moment}");
        assert_eq!(open_here(&name), 1, "{moment}: no second copy");
    }
}

/// Deeper than serde_json reads, the message comes back as null: but the handle
/// does.
#[test]
fn a_descriptor_comes_back_however_deeply_its_message_is_nested() {
    for depth in [100, 125, 126, 127, 128, 200] {
        let (mut ours, peer) = channel_and_peer(1);
        let deep = (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let (_other, fd) = thing();
        let name = name_of(&fd);
        ours.give(deep.clone(), fd);
        drop(peer);
        assert!(matches!(ours.next(), Received::Closed(None)));
        let mut back = ours.channel().into_unacknowledged();
        let (message, fd) = back.pop().expect("it was not acknowledged");
        assert_eq!(name_of(&fd), name);
        let is_back = message == deep || (depth > 125 && message.is_null());
        assert!(is_back, "{depth} deep: {message}");
    }
}

#[test]
fn a_handle_that_is_not_queued_stays_with_its_sender() {
    let (mut ours, _peer) = channel_and_peer(1);
    let (_other, fd) = thing();
    let name = name_of(&fd);
    let long = Value::from("x".repeat(MAX_MESSAGE));
    let refused =
        ours.send_handle("net.Socket", long, fd).expect_err("with its envelope");
    assert!(matches!(refused.error, SendError::TooLong), "{refused:?}");
    assert_eq!(name_of(&refused.fd), name);

    let half = Value::from("x".repeat(MAX_MESSAGE / 2 + (1 << 20)));
    ours.give(half.clone(), thing().1);
    ours.give(half, thing().1);
    let refused = ours
        .send_handle("net.Socket", json!(1), refused.fd)
        .expect_err("16 MiB wait");
    assert!(matches!(refused.error, SendError::Full), "{:?}", refused.error);
    assert_eq!((name_of(&refused.fd), open_here(&name)), (name.clone(), 1));
}

/// The bound is one of bytes, and small messages are small.
#[test]
fn ten_thousand_small_messages_wait_for_a_peer_that_does_not_read() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let messages: Vec<Value> =
        (0..10_000).map(|n| json!(n + 1_000_000_000)).collect();
    for message in &messages {
        ours.send(message).expect("10,000 times 10 bytes are no 16 MiB");
    }
    let mut lines = Vec::new();
    while lines.len() < messages.len() {
        lines.extend(peer.lines_here());
        ours.pump();
    }
    assert!(lines == messages, "all of them, in order");
}
