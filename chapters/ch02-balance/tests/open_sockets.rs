//! A Node parent counts the sockets that it has given away: `server.close()` waits for the last.

mod common;

use ch02_balance::{FdChannel, Passed};
use common::{Peer, assert_nothing, channel_and_peer, next_passed, thing};
use serde_json::{Value, json};

/// Gives `ours` a socket with this key; the acknowledgement is read away.
fn give(peer: &mut Peer, ours: &mut FdChannel, key: &str) -> Passed {
    let line = json!({"cmd": "NODE_HANDLE", "type": "net.Socket", "msg": "socket", "key": key});
    peer.say_with(&line, &[&thing().1]);
    let passed = next_passed(ours);
    assert_eq!(peer.lines_here(), [json!({"cmd": "NODE_HANDLE_ACK"})]);
    passed
}

/// Asks how many are open.
fn count(peer: &mut Peer, ours: &mut FdChannel, key: &str) -> Vec<Value> {
    peer.say(&json!({"cmd": "NODE_SOCKET_GET_COUNT", "key": key}));
    assert_nothing(ours);
    peer.lines_here()
}

fn counted(key: &str, count: u32) -> [Value; 1] {
    [json!({"cmd": "NODE_SOCKET_COUNT", "key": key, "count": count})]
}

fn all_closed(key: &str) -> [Value; 1] {
    [json!({"cmd": "NODE_SOCKET_ALL_CLOSED", "key": key})]
}

#[test]
fn the_open_sockets_of_each_key_are_counted() {
    let (mut ours, mut peer) = channel_and_peer(1);
    assert_eq!(
        count(&mut peer, &mut ours, "4:1337"),
        counted("4:1337", 0),
        "never heard of it"
    );
    let first = give(&mut peer, &mut ours, "4:1337");
    let second = give(&mut peer, &mut ours, "4:1337");
    let other = give(&mut peer, &mut ours, "6:80");
    assert_eq!(count(&mut peer, &mut ours, "4:1337"), counted("4:1337", 2));
    assert_eq!(count(&mut peer, &mut ours, "6:80"), counted("6:80", 1));
    drop(first);
    assert_eq!(count(&mut peer, &mut ours, "4:1337"), counted("4:1337", 1));
    drop((second, other));
    assert_eq!(count(&mut peer, &mut ours, "4:1337"), counted("4:1337", 0));
}

#[test]
fn a_socket_counts_for_as_long_as_its_mark_is_kept() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let passed = give(&mut peer, &mut ours, "k");
    let open = passed.open;
    drop(passed.fd);
    assert_eq!(
        count(&mut peer, &mut ours, "k"),
        counted("k", 1),
        "the program's word counts"
    );
    drop(open);
    assert_eq!(count(&mut peer, &mut ours, "k"), counted("k", 0));
}

#[test]
fn the_parent_hears_when_the_last_one_is_closed_and_only_then() {
    let (mut ours, mut peer) = channel_and_peer(1);
    let sockets =
        [give(&mut peer, &mut ours, "k"), give(&mut peer, &mut ours, "k")];
    let _other = give(&mut peer, &mut ours, "another");
    peer.say(&json!({"cmd": "NODE_SOCKET_NOTIFY_CLOSE", "key": "k"}));
    assert_nothing(&mut ours);
    for socket in sockets {
        ours.pump().expect("the peer is there");
        assert_eq!(peer.lines_here(), [json!(null); 0], "one is open still");
        drop(socket);
    }
    ours.pump().expect("the peer is there");
    assert_eq!(peer.lines_here(), all_closed("k"));
    ours.pump().expect("the peer is there");
    assert_eq!(peer.lines_here(), [json!(null); 0], "once");
}

#[test]
fn where_none_is_open_the_answer_comes_at_once() {
    let (mut ours, mut peer) = channel_and_peer(1);
    drop(give(&mut peer, &mut ours, "k"));
    for key in ["k", "never heard of it"] {
        peer.say(&json!({"cmd": "NODE_SOCKET_NOTIFY_CLOSE", "key": key}));
        assert_nothing(&mut ours);
        assert_eq!(peer.lines_here(), all_closed(key));
    }
}

#[test]
fn after_the_end_of_a_key_it_can_be_used_again() {
    let (mut ours, mut peer) = channel_and_peer(1);
    for _ in 0..2 {
        let socket = give(&mut peer, &mut ours, "k");
        peer.say(&json!({"cmd": "NODE_SOCKET_NOTIFY_CLOSE", "key": "k"}));
        assert_nothing(&mut ours);
        assert_eq!(count(&mut peer, &mut ours, "k"), counted("k", 1));
        drop(socket);
        ours.pump().expect("the peer is there");
        assert_eq!(peer.lines_here(), all_closed("k"));
    }
}
