//! Node speaks the same: as children of a Rust parent, and as the parent of Rust
//! workers.

mod common;

use ch02_balance::Received;
use common::{LONG, Ours, child_named, load, program, serving, thing};
use serde_json::{Value, json};
use testkit::{
    NodeScript, Program, Running, Signal,
    http::raw_exchange,
    load::{Kind, Load},
    node, node_program,
};

/// The chapter's parent with two Node children, or `None` where there is no node.
fn with_node_children() -> Option<(Running, NodeScript)> {
    let script = node_program(include_str!("node/subprocess.js"));
    let command =
        program().args(["--port", "0", "--exec"]).arg(node()?).arg(&script);
    Some((serving(command), script))
}

/// A Node parent with two of the chapter's workers.
fn node_parent() -> Option<(Running, NodeScript)> {
    let script = node_program(include_str!("node/server.js"));
    let worker = env!("CARGO_BIN_EXE_ch02-balance");
    let server = Program::new(node()?).arg(&script).arg(worker).start();
    Some((server, script))
}

fn clients(server: &Running, clients: usize) -> Load {
    Load { addr: server.addr(), clients, kind: Kind::Raw }
}

#[test]
fn two_node_children_take_turns() {
    let Some((server, _script)) = with_node_children() else { return };
    for n in 0..10 {
        let name = ["normal", "special"][n % 2];
        let pid = child_named(&server, name);
        let reply = raw_exchange(server.addr(), b"").expect("a reply");
        assert_eq!(
            reply,
            format!("Request handled with {name} priority, running on {pid}")
        );
    }
}

#[test]
fn a_thousand_connections_to_node_children_are_answered_and_split_exactly() {
    let Some((server, _script)) = with_node_children() else { return };
    let report = load(&server, 16).run_total(1000);
    report.assert_none_lost();
    assert_eq!(report.by_name.get("normal"), Some(&500), "{:?}", report.by_name);
    assert_eq!(server.stderr(), "", "and Node warns of nothing");
}

#[test]
fn a_node_child_that_is_killed_takes_only_what_it_held() {
    let Some((server, _script)) = with_node_children() else { return };
    let load = load(&server, 8).start();
    load.wait_for_more(100, LONG);
    let normal = child_named(&server, "normal");
    testkit::Process::of(normal).expect("it is there").signal(Signal::SIGKILL);
    server.wait_for_line(&format!("normal {normal} was killed by SIGKILL"));
    load.wait_for_more(200, LONG);
    let report = load.stop();
    assert!(
        report.lost_count <= 8,
        "at most what it held, and there are 8 clients\n{report}"
    );
}

/// It closes its channel while it answers, and exits later: the answer is whole.
#[test]
fn a_node_child_that_disconnects_may_finish_its_answer() {
    let Some(node) = node() else { return };
    let script = "process.on('message', (message, socket) => {
        process.disconnect();
        socket.write('Request handled ');
        setTimeout(() => socket.end('with patience'), 500);
    });";
    let words = ["--port", "0", "--exec"];
    let server =
        serving(program().args(words).arg(node).args(["-e", script, "--"]));
    let reply = raw_exchange(server.addr(), b"").expect("a reply");
    assert_eq!(reply, "Request handled with patience");
    let reply = raw_exchange(server.addr(), b"").expect("a reply");
    assert_eq!(reply, "Request handled with patience", "the other child's");
    assert_eq!(server.wait(LONG).code(), Some(1), "then none is left");
}

/// A child in Node that runs `script`, and our end of its channel.
fn node_child(script: &str) -> Option<(Running, Ours)> {
    let (child, stream) = Program::new(node()?).args(["-e", script]).channel();
    Some((child.start(), Ours::new(stream, 1)))
}

/// What was sent before a disconnect arrives before the end.
#[test]
fn a_node_child_gets_everything_that_was_sent_before_a_disconnect() {
    let script = "process.on('message', (message, handle) =>
            console.log(JSON.stringify(message), !!handle));
        process.on('disconnect', () => console.log('end'));";
    let Some((child, mut ours)) = node_child(script) else { return };
    ours.give(json!("a"), thing().1);
    ours.send(&json!("b")).expect("there is room");
    ours.give(json!("c"), thing().1);
    ours.send(&json!({"cmd": "NODE_"})).expect("there is room");
    ours.disconnect().expect("once");
    while !matches!(ours.next(), Received::Closed(None)) {}
    child.wait(LONG);
    let expected = ["\"a\" true", "\"b\" false", "\"c\" true"];
    let mut expected: Vec<&str> = expected.to_vec();
    expected.extend(["{\"cmd\":\"NODE_\"} false", "end"]);
    assert_eq!(child.stdout().lines().collect::<Vec<_>>(), expected);
}

/// The same message is internal for Node and for us, with a handle or without.
#[test]
fn internal_messages_of_a_node_child_do_not_reach_us() {
    let script = "const net = require('net');
        const server = net.createServer().listen(0, '127.0.0.1', () => {
            process.send({cmd: 'NODE_x'});
            process.send({cmd: 'NODE_x'}, server, () => {
                process.send({cmd: 'NODE_'}, server, () => {
                    process.send('last');
                });
            });
        });
        process.on('message', () => process.exit());";
    let Some((child, mut ours)) = node_child(script) else { return };
    assert_eq!(ours.next_handle().0, json!({"cmd": "NODE_"}));
    assert_eq!(ours.next_message(), "last");
    ours.send(&json!("exit")).expect("there is room");
    child.wait(LONG);
}

/// Node sends half of a surrogate pair, and nests deeper than serde_json reads:
/// the message may be refused, its connection not. A Node parent dies of a second
/// answer.
#[test]
fn a_node_parent_may_send_what_we_cannot_read() {
    let Some(node) = node() else { return };
    let script = "const {fork} = require('child_process'), net = require('net');
        const options = {execPath: process.argv[1], execArgv: []};
        const child = fork('worker', ['normal'], options);
        child.on('exit', (code) => process.exit(code));
        const deep = JSON.parse('['.repeat(200) + ']'.repeat(200));
        const messages = ['\\ud800', deep, {cmd: 'x', s: '\\udc00 \\ud800'}, 'socket'];
        net.createServer({pauseOnConnect: true}, (socket) => {
            child.send(messages.shift(), socket);
            if (!messages.length) child.disconnect();
        }).listen(0, '127.0.0.1', function () {
            console.log(`listening on http://127.0.0.1:${this.address().port}`);
        });";
    let this = env!("CARGO_BIN_EXE_ch02-balance");
    let server = Program::new(node).args(["-e", script, "--", this]).start();
    for n in 0..4 {
        let reply = raw_exchange(server.addr(), b"").expect("a reply");
        assert!(reply.starts_with("Request handled with normal"), "{n}: {reply}");
    }
    assert!(server.wait(LONG).success(), "{}", server.stderr());
    assert_eq!(server.stderr().matches("is not JSON").count(), 3);
}

/// What Node sends after a NACK, and what we send: the type is kept both ways.
#[test]
fn a_handle_that_was_nacked_arrives_as_what_it_is() {
    let script = "const {connect, createServer} = require('net');
        createServer({pauseOnConnect: true}, (socket) =>
            process.send({m: 1}, socket)).listen(0, '127.0.0.1', function () {
                connect(this.address().port).on('error', () => {});
            });
        process.on('message', () => process.exit());
        process.on('disconnect', () => process.exit());";
    let Some(node) = node() else { return };
    let (child, stream) = Program::new(node).args(["-e", script]).channel();
    let child = child.start();
    let mut peer = common::Peer::new(stream);
    // Read without room for a descriptor: the kernel drops it.
    assert_eq!(peer.line()["type"], "net.Socket");
    peer.nack();
    let stream = peer.0.stream().try_clone().expect("a copy");
    let mut ours = Ours::new(stream, 1);
    let (message, handle) = ours.next_handle();
    assert_eq!((message, handle.kind.as_str()), (json!({"m": 1}), "net.Socket"));
    assert!(handle.key.is_some_and(|key| key.starts_with("4:")), "Node's key");
    ours.send(&Value::from("exit")).expect("there is room");
    child.wait(LONG);
}

#[test]
fn the_workers_answer_sockets_that_a_node_parent_sends() {
    let Some((server, _script)) = node_parent() else { return };
    for n in 0..10 {
        let reply = raw_exchange(server.addr(), b"GET / HTTP/1.0\r\n\r\n")
            .expect("a reply");
        let name = ["normal", "special"][n % 2];
        assert!(
            reply.starts_with(&format!("Request handled with {name} priority,")),
            "{reply}"
        );
    }
    let report = clients(&server, 4).run_total(500);
    report.assert_none_lost();
    assert_eq!(report.by_name.get("normal"), Some(&250), "{:?}", report.by_name);
}
