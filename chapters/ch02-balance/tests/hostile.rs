//! A peer that does not keep to the protocol harms nobody but itself.

mod common;

use std::os::fd::OwnedFd;

use ch01_fork_ipc::{Line, RecvError};
use ch02_balance::Incoming;
use common::{
    LONG, Peer, assert_no_busy_loop, assert_nothing, channel_and_peer, envelope,
    limited, name_of, next, next_passed, open_here, pass, program, send_with,
    thing,
};
use serde_json::{Value, json};
use testkit::{eventually, fds};

#[test]
fn an_answer_to_nothing_is_ignored() {
    let (mut ours, mut peer) = channel_and_peer(1);
    for _ in 0..3 {
        peer.ack();
        peer.nack();
    }
    assert_nothing(&mut ours);
    pass(&mut ours, json!(1), thing().1);
    assert_nothing(&mut ours);
    assert_eq!(
        ours.into_unacknowledged().len(),
        1,
        "no earlier answer counts for it"
    );
}

/// A handle that has left only in part cannot have arrived, nor been lost.
#[test]
fn an_answer_that_comes_too_early_is_ignored() {
    for early in ["NODE_HANDLE_ACK", "NODE_HANDLE_NACK"] {
        let (mut ours, mut peer) = channel_and_peer(1);
        let long = Value::from("x".repeat(1 << 20));
        pass(&mut ours, long.clone(), thing().1);
        assert!(ours.wants_write(), "the socket holds less than 1 MiB");
        for _ in 0..3 {
            peer.say(&json!({"cmd": early}));
        }
        assert_nothing(&mut ours);
        let mut lines = Vec::new();
        while lines.is_empty() {
            ours.pump().expect("the peer is there");
            lines = peer.lines_here();
        }
        assert!(lines == [envelope(long)], "once and whole, in spite of {early}");
        peer.ack();
        assert!(
            matches!(next(&mut ours), Incoming::Acked),
            "the answer in time counts"
        );
    }
}

#[test]
fn internal_messages_never_reach_the_program() {
    let (mut ours, mut peer) = channel_and_peer(1);
    for cmd in ["NODE_", "NODE_NOTHING", "NODE_CLUSTER", "NODE_SOCKET_COUNT"] {
        peer.say(&json!({"cmd": cmd, "key": [1], "msg": "x"}));
    }
    peer.say(&json!({"cmd": "NODE_SOCKET_GET_COUNT"}));
    peer.say(&json!({"cmd": "NODE_SOCKET_NOTIFY_CLOSE", "key": 7}));
    peer.say(&json!({"cmd": "ours"}));
    assert!(
        matches!(next(&mut ours), Incoming::Message(it) if it == json!({"cmd": "ours"}))
    );
    assert_nothing(&mut ours);
}

#[test]
fn a_handle_message_without_its_handle_is_asked_for_again() {
    let (mut ours, mut peer) = channel_and_peer(1);
    peer.say(&envelope(json!(1)));
    assert!(matches!(next(&mut ours), Incoming::Missing));
    assert_nothing(&mut ours);
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_NACK"})]);
    peer.hand_over(json!(1), &thing().1);
    assert_eq!(next_passed(&mut ours).message, json!(1));
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_ACK"})]);
}

#[test]
fn an_envelope_with_nonsense_in_it_is_delivered_for_what_it_is() {
    let (mut ours, peer) = channel_and_peer(1);
    peer.say_with(
        &json!({"cmd": "NODE_HANDLE", "type": 7, "key": []}),
        &[&thing().1],
    );
    let passed = next_passed(&mut ours);
    assert_eq!((passed.kind.as_str(), passed.message), ("", Value::Null));
    assert!(passed.open.is_none(), "no key, nothing to count");
}

#[test]
fn garbage_is_an_error_and_the_channel_goes_on() {
    let (mut ours, peer) = channel_and_peer(1);
    send_with(peer.0.stream(), b"garbage\n{}\n", &[]);
    assert!(matches!(ours.recv(), Err(RecvError::Json(_))));
    assert!(matches!(next(&mut ours), Incoming::Message(it) if it == json!({})));
}

/// Its answers do not leave, so it reads no more questions. It has to wait for that, in poll(2).
#[test]
fn one_who_asks_and_never_listens_does_not_make_a_worker_spin() {
    let (worker, stream) = program().args(["worker", "normal"]).channel();
    let worker = worker.start();
    let mut peer = Peer::new(stream);
    peer.0.stream().set_nonblocking(true).expect("non-blocking");
    let question = Line::new(
        &json!({"cmd": "NODE_SOCKET_GET_COUNT", "key": "k".repeat(1 << 10)}),
    );
    let question = question.expect("it is short");
    let mut stuck = 0;
    eventually("it reads no more, for a good while", LONG, || {
        stuck += 1;
        while peer.0.unsent() == 0 {
            peer.0.send_line(&question).expect("the worker is there");
            stuck = 0;
        }
        peer.0.flush().expect("the worker is there");
        stuck > 100
    });
    assert_no_busy_loop(&worker);
    // It is not lost either: as soon as somebody listens, it goes on.
    peer.0.stream().set_nonblocking(false).expect("blocking");
    for _ in 0..1000 {
        assert_eq!(peer.line()["cmd"], "NODE_SOCKET_COUNT");
    }
}

/// The next handle must not get the descriptor that came beside the garbage.
#[test]
fn a_descriptor_beside_garbage_is_closed_and_asked_for_again() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let ((_o1, lost), (_o2, next_one)) = (thing(), thing());
    let (lost_name, next_name) = (name_of(&lost), name_of(&next_one));
    send_with(peer.0.stream(), b"garbage\n", &[&lost]);
    drop(lost);
    assert!(matches!(ours.recv(), Err(RecvError::Json(_))));
    assert_nothing(&mut ours);
    assert_eq!(open_here(&lost_name), 0, "nobody will ever take it");
    assert_eq!(
        peer.lines_here(),
        [json!({"cmd": "NODE_HANDLE_NACK"})],
        "or its sender waits"
    );
    peer.hand_over(json!(1), &next_one);
    assert_eq!(name_of(&next_passed(&mut ours).fd), next_name);
}

#[test]
fn half_a_line_and_the_end_is_an_error_behind_all_that_was_whole() {
    let (mut ours, peer) = channel_and_peer(1);
    peer.hand_over(json!(1), &thing().1);
    send_with(peer.0.stream(), b"2\n{\"half\":", &[]);
    drop(peer);
    assert_eq!(next_passed(&mut ours).message, json!(1));
    assert!(matches!(next(&mut ours), Incoming::Message(it) if it == json!(2)));
    assert!(matches!(ours.recv(), Err(RecvError::HalfLine)));
}

#[test]
fn descriptors_that_nobody_announced_do_not_pile_up() {
    let (mut ours, peer) = channel_and_peer(1);
    let (_other, fd) = thing();
    let name = name_of(&fd);
    for n in 0..200 {
        peer.say_with(&json!(n), &[&fd]);
        assert!(matches!(next(&mut ours), Incoming::Message(it) if it == json!(n)));
    }
    drop(fd);
    let open = open_here(&name);
    assert!(
        open <= 8,
        "{open} of 200 descriptors are kept, and no message is for them"
    );
}

/// Each question wants an answer. One who never reads the answers must not make us keep them all.
#[test]
fn one_who_asks_and_never_listens_does_not_eat_our_memory() {
    for (size, most) in [(1 << 10, 20_000), (1 << 20, 50)] {
        let (mut ours, mut peer) = channel_and_peer(1);
        peer.0.stream().set_nonblocking(true).expect("non-blocking");
        let question =
            json!({"cmd": "NODE_SOCKET_GET_COUNT", "key": "k".repeat(size)});
        let question = Line::new(&question).expect("it is short");
        let mut asked = 0;
        while asked < most && (asked == 0 || peer.0.unsent() == 0) {
            peer.0.send_line(&question).expect("the other side is there");
            asked += 1;
            // What does not fit into the socket leaves while it is read, or never does.
            let mut before = usize::MAX;
            while peer.0.unsent() < before {
                before = peer.0.unsent();
                assert_nothing(&mut ours);
                peer.0.flush().expect("the other side is there");
            }
        }
        assert!(
            asked < most,
            "{asked} answers of {size} bytes wait for one who reads none"
        );
    }
}

/// A limit on descriptors that is reached in the middle of a message: the kernel makes as many as
/// there is room for, and says MSG_CTRUNC. Those that it made have to be closed.
#[test]
fn descriptors_that_came_with_a_cut_control_message_are_closed() {
    let (worker, stream) = limited(16, "worker normal").channel();
    let worker = worker.start();
    let mut peer = Peer::new(stream);
    peer.say(&json!("hello"));
    eventually("it is up", LONG, || {
        worker.pid() > 0 && !fds(worker.pid()).is_empty()
    });
    peer.say(&json!({"cmd": "NODE_SOCKET_GET_COUNT", "key": "k"}));
    assert_eq!(peer.line()["count"], 0);
    let before = fds(worker.pid());
    let (_other, fd) = thing();
    let many: Vec<&OwnedFd> = vec![&fd; 40];
    peer.say_with(&json!("forty at once"), &many);
    peer.say(&json!({"cmd": "NODE_SOCKET_GET_COUNT", "key": "k"}));
    assert_eq!(peer.line()["count"], 0, "it has read them by now");
    let after = fds(worker.pid());
    assert_eq!(after, before, "it keeps descriptors that it does not know of");
}
