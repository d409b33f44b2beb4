//! The envelope: who owns a descriptor while it is under way?

mod common;

use std::io::Read;

use ch01_fork_ipc::{MAX_MESSAGE, SendError};
use ch02_balance::Incoming;
use common::{
    assert_nothing, channel_and_peer, envelope, is_cloexec, name_of, next,
    next_passed, open_here, pass, thing, two_channels,
};
use serde_json::{Map, Value, json};

#[test]
fn a_descriptor_arrives_with_its_message() {
    let (mut ours, mut theirs) = two_channels(1);
    let (mut other, fd) = thing();
    let name = name_of(&fd);
    let Value::Object(fields) = json!({"dgramType": "udp4"}) else {
        unreachable!()
    };
    ours.pass("dgram.Socket", fields, json!({"to": "you"}), fd)
        .expect("there is room");
    let passed = next_passed(&mut theirs);
    assert_eq!(passed.kind, "dgram.Socket");
    assert_eq!(
        Value::from(passed.fields),
        json!({"dgramType": "udp4"}),
        "and nothing of ours"
    );
    assert_eq!(passed.message, json!({"to": "you"}));
    assert_eq!(name_of(&passed.fd), name);
    assert!(is_cloexec(&passed.fd), "or a child that is started next inherits it");
    assert!(matches!(next(&mut ours), Incoming::Acked));
    drop(passed.fd);
    assert_eq!(open_here(&name), 0, "our copy is closed, too");
    assert_eq!(other.read(&mut [0; 1]).expect("the end"), 0);
}

#[test]
fn messages_and_descriptors_stay_in_order_also_when_they_are_glued_together() {
    for window in [1, 3, 64] {
        let (mut ours, mut theirs) = two_channels(window);
        let mut expected = Vec::new();
        for (n, has_fd) in [false, true, false, true, true].into_iter().enumerate()
        {
            if has_fd {
                let (_, fd) = thing();
                expected.push((json!(n), Some(name_of(&fd))));
                pass(&mut ours, json!(n), fd);
            } else {
                expected.push((json!(n), None));
                ours.send(&json!(n)).expect("there is room");
            }
        }
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            match next(&mut theirs) {
                Incoming::Message(message) => seen.push((message, None)),
                Incoming::Passed(passed) => {
                    seen.push((passed.message, Some(name_of(&passed.fd))));
                    assert!(matches!(next(&mut ours), Incoming::Acked));
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
    for n in 0..1000 {
        for channel in [&mut a, &mut b] {
            if n % 3 == 0 {
                pass(channel, json!(n), thing().1);
            } else {
                channel.send(&json!(n)).expect("there is room");
            }
        }
    }
    let (mut seen_by_a, mut seen_by_b) = (0, 0);
    let mut turn = 0;
    while seen_by_a < 1000 || seen_by_b < 1000 {
        turn += 1;
        let (channel, seen) = if turn % 2 == 0 {
            (&mut a, &mut seen_by_a)
        } else {
            (&mut b, &mut seen_by_b)
        };
        let _ = channel.pump();
        let (message, has_fd) = match channel.recv() {
            Ok(Some(Incoming::Message(message))) => (message, false),
            Ok(Some(Incoming::Passed(passed))) => (passed.message, true),
            Ok(Some(Incoming::Acked | Incoming::Internal)) => continue,
            Err(error) if error.would_block() => continue,
            other => panic!("after {seen}: {other:?}"),
        };
        assert_eq!((message, has_fd), (json!(*seen), *seen % 3 == 0), "in order");
        *seen += 1;
    }
}

/// The descriptor comes with the first piece, the envelope is whole with the last.
#[test]
fn a_mebibyte_comes_in_pieces_and_its_descriptor_with_the_first() {
    let (mut ours, mut theirs) = two_channels(1);
    let (_other, fd) = thing();
    let name = name_of(&fd);
    pass(&mut ours, Value::from("x".repeat(1 << 20)), fd);
    ours.send(&json!("after")).expect("there is room");
    let passed = loop {
        let _ = ours.pump();
        match theirs.recv() {
            Ok(Some(Incoming::Passed(passed))) => break passed,
            Err(error) if error.would_block() => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(passed.message.as_str().map(str::len), Some(1 << 20));
    assert_eq!(name_of(&passed.fd), name);
    assert!(matches!(next(&mut ours), Incoming::Acked));
    assert!(
        matches!(next(&mut theirs), Incoming::Message(message) if message == "after")
    );
}

/// If we die with it, its sender must know that it was ours: so the answer goes first.
#[test]
fn the_acknowledgement_is_with_the_kernel_before_the_program_gets_the_handle() {
    let (mut ours, mut peer) = channel_and_peer(1);
    peer.hand_over(json!(1), &thing().1);
    next_passed(&mut ours);
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_ACK"})]);

    // Where the answer cannot leave, because the peer does not read, the handle has to wait.
    let long = Value::from("x".repeat(1 << 20));
    ours.send(&long).expect("what does not fit is queued");
    peer.hand_over(json!(2), &thing().1);
    for _ in 0..3 {
        assert_nothing(&mut ours);
    }
    let mut lines = Vec::new();
    while lines.len() < 2 {
        lines.extend(peer.lines_here());
        ours.pump().expect("the peer is there");
    }
    assert!(
        lines[0] == long && lines[1]["cmd"] == "NODE_HANDLE_ACK",
        "in this order"
    );
    assert_eq!(next_passed(&mut ours).message, json!(2));
}

/// As Node does it: the next descriptor, and every message, waits for the answer.
#[test]
fn with_a_window_of_one_all_that_follows_a_handle_waits_for_its_answer() {
    let (mut ours, mut peer) = channel_and_peer(1);
    assert!(ours.has_room());
    pass(&mut ours, json!("first"), thing().1);
    assert!(!ours.has_room());
    ours.send(&json!("message")).expect("queued is sent");
    pass(&mut ours, json!("second"), thing().1);
    assert_eq!(peer.lines_here(), [envelope(json!("first"))]);
    peer.ack();
    assert!(matches!(next(&mut ours), Incoming::Acked));
    assert_eq!(peer.lines_here(), [json!("message"), envelope(json!("second"))]);
    peer.ack();
    assert!(matches!(next(&mut ours), Incoming::Acked));
    assert!(ours.has_room());
}

#[test]
fn a_larger_window_does_not_wait_for_each_answer() {
    let (mut ours, mut peer) = channel_and_peer(3);
    for n in 0..5 {
        pass(&mut ours, json!(n), thing().1);
    }
    assert_eq!(peer.lines_here(), [0, 1, 2].map(|n| envelope(json!(n))));
    assert!(!ours.has_room());
    peer.ack();
    assert!(matches!(next(&mut ours), Incoming::Acked));
    assert_eq!(peer.lines_here(), [envelope(json!(3))], "one answer, one more");
}

#[test]
fn a_handle_that_does_not_arrive_is_sent_three_times_and_then_given_back() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let (_other, fd) = thing();
    let name = name_of(&fd);
    pass(&mut ours, json!({"n": 1}), fd);
    ours.send(&json!("after")).expect("there is room");
    for attempt in 1..=3 {
        assert_eq!(
            peer.lines_here(),
            [envelope(json!({"n": 1}))],
            "attempt {attempt}"
        );
        assert_nothing(&mut ours);
        peer.nack();
        if attempt < 3 {
            assert_nothing(&mut ours);
        }
    }
    match next(&mut ours) {
        Incoming::Refused(message, fd) => {
            assert_eq!(
                message,
                json!({"n": 1}),
                "the message, without the envelope"
            );
            assert_eq!(
                (name_of(&fd), open_here(&name)),
                (name, 1),
                "and the very descriptor"
            );
        }
        other => panic!("three times is enough: {other:?}"),
    }
    assert_eq!(peer.lines_here(), [json!("after")], "the channel goes on");
}

#[test]
fn what_was_never_acknowledged_comes_back_oldest_first() {
    let (mut ours, mut peer) = channel_and_peer(2);
    let names: Vec<String> = (0..5)
        .map(|n| {
            let (_, fd) = thing();
            let name = name_of(&fd);
            pass(&mut ours, json!({"n": n}), fd);
            name
        })
        .collect();
    ours.send(&json!("a message without a handle is not kept"))
        .expect("there is room");
    peer.ack();
    assert!(matches!(next(&mut ours), Incoming::Acked));
    drop(peer);
    let back = ours.into_unacknowledged();
    let seen: Vec<_> =
        back.iter().map(|(message, fd)| (message.clone(), name_of(fd))).collect();
    let expected: Vec<_> =
        (1..5).map(|n| (json!({"n": n}), names[n].clone())).collect();
    assert_eq!(
        seen, expected,
        "two were under way and two were queued; one had arrived"
    );
}

/// Deeper than the decoder goes, it can only come back as null: but the descriptor does.
#[test]
fn a_descriptor_comes_back_however_deeply_its_message_is_nested() {
    for depth in [100, 125, 126, 127, 128, 200] {
        let (mut ours, _peer) = channel_and_peer(1);
        let deep = (0..depth).fold(json!(1), |inner, _| json!([inner]));
        let (_other, fd) = thing();
        let name = name_of(&fd);
        pass(&mut ours, deep.clone(), fd);
        let (message, fd) =
            ours.into_unacknowledged().pop().expect("it was not acknowledged");
        assert_eq!(name_of(&fd), name);
        assert!(
            message == deep || (depth > 125 && message.is_null()),
            "{depth} deep: {message}"
        );
    }
}

#[test]
fn a_handle_that_is_not_queued_stays_with_its_sender() {
    let (mut ours, _peer) = channel_and_peer(1);
    let (_other, fd) = thing();
    let name = name_of(&fd);
    let long = Value::from("x".repeat(MAX_MESSAGE));
    let refused = ours
        .pass("net.Socket", Map::new(), long, fd)
        .expect_err("with its envelope");
    assert!(matches!(refused.why, SendError::TooLong), "{refused:?}");
    assert_eq!(name_of(&refused.fd), name);

    pass(&mut ours, Value::from("x".repeat(MAX_MESSAGE - 1000)), thing().1);
    pass(&mut ours, Value::from("x".repeat(MAX_MESSAGE - 1000)), thing().1);
    let refused = ours
        .pass("net.Socket", Map::new(), json!(1), refused.fd)
        .expect_err("16 MiB wait");
    assert!(matches!(refused.why, SendError::Full), "{:?}", refused.why);
    assert_eq!((name_of(&refused.fd), open_here(&name)), (name.clone(), 1));
}
