//! Node as the child of a Rust parent, and as the parent of a Rust child.

mod common;

use std::{
    io::Write,
    os::unix::net::UnixStream,
    process::{Command, Stdio},
    thread,
};

use ch01_fork_ipc::{Channel, Child, ExitStatus};
use common::{Got, got, message, patient, program};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use testkit::{NodeScript, Program, node, node_program};

const ECHO: &str = include_str!("node/echo.js");
const FLOOD: &str = include_str!("node/flood.js");
const PARENT: &str = include_str!("node/parent.js");

/// A Node child with a channel to us; killed at the end of the test.
struct NodeChild {
    child: Child,
    channel: Channel<UnixStream>,
    _script: NodeScript,
}

impl NodeChild {
    /// `None` if this machine has no node.
    fn start(source: &str, arguments: &[&str]) -> Option<NodeChild> {
        let script = node_program(source);
        let mut command = Command::new(node()?);
        command.arg(&script).args(arguments).stdin(Stdio::null());
        let (child, stream) = Child::spawn(command).expect("node starts");
        patient(&stream);
        Some(NodeChild { child, channel: Channel::new(stream), _script: script })
    }

    #[track_caller]
    fn assert_echoes(&mut self, value: &Value) {
        self.channel.send(value).expect("it reads");
        assert_eq!(&message(&mut self.channel), value);
    }

    /// It disconnects by itself, and exits with 0.
    #[track_caller]
    fn assert_exits(mut self) {
        assert_eq!(got(&mut self.channel), Got::End);
        assert_eq!(self.child.wait().expect("it is ours"), ExitStatus::Exited(0));
    }
}

impl Drop for NodeChild {
    fn drop(&mut self) {
        let _ = self.child.kill(Signal::SIGKILL);
        let _ = self.child.wait();
    }
}

/// Characters of two and of four bytes, joined, composed and escaped.
const TEXT: &str =
    "héllo, 世界, 👩‍👩‍👧, e\u{301}, \u{0}\u{1f}, \u{2028}, \n\r\t\"\\/, \u{feff}";

#[test]
fn a_node_child_echoes_every_value() {
    let Some(mut node) = NodeChild::start(ECHO, &[]) else { return };
    for value in [
        json!(TEXT),
        json!({TEXT: [TEXT]}),
        json!(7),
        json!(-0.1),
        json!([null, true]),
    ] {
        node.assert_echoes(&value);
    }
    node.channel.send(&json!("enough")).expect("it reads");
    node.assert_exits();
}

#[test]
fn a_thousand_messages_to_a_node_child_stay_in_order() {
    let Some(mut node) = NodeChild::start(ECHO, &[]) else { return };
    for n in 0..1000 {
        node.channel.send(&json!({"n": n})).expect("it reads");
    }
    for n in 0..1000 {
        assert_eq!(message(&mut node.channel), json!({"n": n}));
    }
}

#[test]
fn a_mebibyte_goes_to_a_node_child_and_back() {
    let Some(mut node) = NodeChild::start(ECHO, &[]) else { return };
    node.assert_echoes(&Value::from("é".repeat(1 << 19)));
    node.assert_echoes(&json!("after"));
}

/// A thread for each direction: two processes that only write block for ever, as
/// soon as both sockets are full.
#[test]
fn a_node_child_and_its_parent_send_at_once() {
    let Some(mut node) = NodeChild::start(FLOOD, &["2000", "2048"]) else { return };
    let writing = node.channel.stream().try_clone().expect("a second descriptor");
    let sender = thread::spawn(move || {
        let mut channel = Channel::new(writing);
        for n in 0..2000 {
            channel
                .send(&json!({"n": n, "text": "p".repeat(2048)}))
                .expect("it reads");
        }
    });
    for n in 0..2000 {
        let message = message(&mut node.channel);
        assert_eq!(message["n"], n, "in order");
        assert_eq!(message["text"].as_str().map(str::len), Some(2048));
    }
    assert_eq!(
        message(&mut node.channel),
        json!({"right": 2000}),
        "and so were ours"
    );
    sender.join().expect("the sender");
    node.assert_exits();
}

#[test]
fn a_node_child_does_not_see_internal_messages() {
    let Some(mut node) = NodeChild::start(ECHO, &[]) else { return };
    node.channel
        .stream_mut()
        .write_all(b"{\"cmd\":\"NODE_NOTHING\"}\n1\n")
        .expect("it reads");
    assert_eq!(message(&mut node.channel), json!(1), "it never sees the first");
}

#[test]
fn the_program_drives_a_node_child() {
    let Some(node) = node() else { return };
    let script = node_program(ECHO);
    let output = program().arg("--exec").arg(node).arg(&script).output();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stdout.matches(": from ").count(), 2, "{output:?}");
    assert_eq!(
        output.stdout.matches("exited with code 0").count(),
        2,
        "{output:?}"
    );
}

/// A Node parent that sends `what` to the Rust worker, and judges what it sends
/// back.
fn as_child_of_node(what: &str) {
    let Some(node) = node() else { return };
    let script = node_program(PARENT);
    let worker = env!("CARGO_BIN_EXE_ch01-fork-ipc");
    let output = Program::new(node).arg(&script).args([worker, what]).output();
    assert!(output.status.success(), "{output:?}");
    let events = output.json_lines();
    let exit = events.last().expect("the last event");
    assert_eq!(
        exit["right"], exit["sent"],
        "every message came back in order: {output:?}"
    );
    assert_eq!(events[0]["event"], "disconnect", "{output:?}");
    assert_eq!(
        (&exit["code"], &exit["signal"]),
        (&json!(0), &json!(null)),
        "{output:?}"
    );
}

#[test]
fn a_node_parent_s_values_come_back() {
    as_child_of_node("values");
}

#[test]
fn a_node_parent_s_thousand_messages_come_back_in_order() {
    as_child_of_node("many");
}

#[test]
fn a_node_parent_s_mebibyte_comes_back() {
    as_child_of_node("long");
}

#[test]
fn a_node_parent_and_its_worker_send_at_once() {
    as_child_of_node("flood");
}

/// `stdio: ['ipc', …]`: the channel is a standard stream. What the worker prints
/// must not go into the channel, and its complaints must not.
#[test]
fn a_node_parent_may_put_the_channel_on_a_standard_stream() {
    for number in ["0", "1", "2"] {
        as_child_of_node(&format!("values on {number}"));
    }
}

/// The same byte in the same place, to a Node child and to the Rust worker.
#[test]
fn a_node_child_replaces_a_byte_that_is_not_utf_8() {
    let Some(mut node) = NodeChild::start(ECHO, &[]) else { return };
    for (line, text) in [
        (&b"\"a\xffb\"\n"[..], "a\u{fffd}b"),
        (b"\"\xe2\x82\"\n", "\u{fffd}"),
        (b"\"\xed\xa0\x80\"\n", "\u{fffd}\u{fffd}\u{fffd}"),
    ] {
        node.channel.stream_mut().write_all(line).expect("it reads");
        assert_eq!(message(&mut node.channel), text);
    }
}

/// `{cmd: 'NODE_'}` is a message, in both directions.
#[test]
fn cmd_node_alone_is_a_message() {
    let Some(mut node) = NodeChild::start(ECHO, &[]) else { return };
    node.assert_echoes(&json!({"cmd": "NODE_"}));
    as_child_of_node("cmd");
}
