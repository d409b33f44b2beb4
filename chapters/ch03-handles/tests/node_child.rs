//! A Rust parent and a Node child: they use the same protocol.

mod common;

use std::os::unix::net::UnixStream;

use ch02_balance::Received;
use ch03_handles::Handle;
use common::{End, LONG, read_all, start, tcp_pair};
use serde_json::json;
use testkit::{Program, Running, node, node_program};

/// Starts the Node child that talks a lot, and runs `test` with it.
fn with_node(arguments: &[&str], test: impl FnOnce(&Running, End)) {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/chatty_child.js"));
    let (child, end) = start(Program::new(node).arg(&script).args(arguments));
    test(&child, end);
}

#[test]
fn a_message_in_utf_8_comes_back_as_it_was() {
    with_node(&["0"], |child, mut end| {
        for text in
            ["Grüße, 世界 🦀", "line\nbreak", "\u{0} \u{2028} \\ \" \u{10ffff}", ""]
        {
            end.send(json!({"n": text}));
            assert_eq!(end.message().0["got"], text);
        }
        drop(end);
        assert!(child.wait(LONG).success(), "{}", child.stderr());
    });
}

#[test]
fn a_thousand_messages_and_handles_arrive_in_order() {
    with_node(&["0"], |child, mut end| {
        let mut far_ends = Vec::new();
        for n in 0..1000 {
            if n % 2 == 0 {
                end.send(n);
            } else {
                let (theirs, ours) = UnixStream::pair().expect("a pair");
                end.send_handle(n, Handle::Unix(theirs));
                far_ends.push((n, ours));
            }
        }
        for n in 0..1000 {
            let (report, _) = end.message();
            assert_eq!(
                (&report["got"], &report["handle"]),
                (&json!(n), &json!(n % 2 == 1))
            );
        }
        for (n, far_end) in far_ends {
            assert_eq!(read_all(far_end).expect("readable"), n.to_string());
        }
        drop(end);
        assert!(child.wait(LONG).success(), "{}", child.stderr());
    });
}

#[test]
fn both_sides_send_at_once_and_nothing_is_lost_or_out_of_order() {
    with_node(&["400"], |_, mut end| {
        let mut far_ends = Vec::new();
        for n in 0..400 {
            let (theirs, ours) = UnixStream::pair().expect("a pair");
            end.send_handle(json!({"n": n}), Handle::Unix(theirs));
            end.send(json!({"n": n}));
            far_ends.push(ours);
        }
        let (mut own, mut answers, mut acks) = (0, 0, 0);
        while own < 400 || answers < 800 || acks < 400 {
            let (text, handle) = match end.next() {
                Received::Message(message) => (message, None),
                Received::Handle(message, handle) => (message, Some(handle)),
                Received::Acked => {
                    acks += 1;
                    continue;
                }
                other => panic!("{other:?}"),
            };
            if text.get("got").is_some() {
                let expected =
                    json!({"got": answers / 2, "handle": answers % 2 == 0});
                assert_eq!(text, expected, "answer {answers}");
                answers += 1;
            } else {
                assert_eq!(text["n"], own, "the child's own messages");
                assert_eq!(handle.is_some(), own % 2 == 1, "message {own}");
                if let Some(Handle::TcpListener(listener)) = handle {
                    let port = listener.local_addr().expect("an address").port();
                    assert_eq!(
                        text["port"], port,
                        "it is not the listener that was sent"
                    );
                }
                own += 1;
            }
        }
        for (n, far_end) in far_ends.into_iter().enumerate() {
            assert_eq!(read_all(far_end).expect("readable"), n.to_string());
        }
    });
}

#[test]
fn a_handle_with_a_message_of_a_mebibyte_arrives_whole_both_ways() {
    with_node(&["2", "big"], |_, mut end| {
        let (theirs, ours) = tcp_pair();
        let text = "é".repeat(512 * 1024);
        end.send_handle(json!({"n": "big", "text": text}), Handle::Tcp(theirs));
        let mut seen = 0;
        while seen < 3 {
            let (message, handle) = end.message();
            if message["got"] == "big" {
                let expected =
                    json!({"got": "big", "handle": true, "length": 512 * 1024});
                assert_eq!(message, expected);
            } else {
                let whole = message["text"].as_str().is_some_and(|it| it == text);
                assert!(whole, "message {} is damaged", message["n"]);
                assert_eq!(handle.is_some(), message["n"] == 1);
            }
            seen += 1;
        }
        assert_eq!(read_all(ours).expect("readable"), "big");
    });
}
