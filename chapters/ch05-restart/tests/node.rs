//! Together with Node: workers in Node under our master, and our workers under a
//! master in Node.

mod common;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use common::{
    GET, HALF, PROGRAM, SOON, connected, server_of, signal, wait_until_full,
};
use testkit::http::{self, Client};
use testkit::{
    NodeScript, Program, Running, Signal, assert_all_gone, fds, node, node_program,
    pid_in, try_eventually,
};

const THROWS: &str = include_str!("node/worker.js");
const SLOW: &str = include_str!("node/slow.js");
const PARENT: &str = include_str!("node/parent.js");

/// Our master with workers in Node.
fn node_workers(workers: usize, source: &str) -> Option<(Running, NodeScript)> {
    let node = node()?;
    let script = node_program(source);
    let path = script.path().to_str().expect("UTF-8");
    let server = server_of(workers, &[node.to_str().expect("UTF-8"), path]);
    wait_until_full(&server, workers);
    Some((server, script))
}

#[test]
fn workers_in_node_that_throw_are_replaced() {
    let Some((server, _script)) = node_workers(2, THROWS) else { return };
    let mut pids = BTreeSet::new();
    for number in 1..=8 {
        let response = http::get(server.addr());
        let response = response.unwrap_or_else(|e| {
            panic!("response {number}: {e}\n{}", server.stderr())
        });
        let pid = pid_in(&response.body).expect("a pid");
        assert!(pids.insert(pid), "{pid} has thrown its exception already");
    }
    wait_until_full(&server, 2);
    for worker in server.children() {
        worker.signal(Signal::SIGKILL);
    }
    http::get(server.addr()).expect("the next request is answered");
    wait_until_full(&server, 2);
}

#[test]
fn nothing_is_left_of_workers_in_node() {
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        let Some((server, _script)) = node_workers(2, THROWS) else { return };
        let (family, port) = (server.processes(), server.port());
        server.signal(end);
        let code = server.wait(Duration::from_secs(4)).code();
        let expected = if end == Signal::SIGKILL { None } else { Some(0) };
        assert_eq!(code, expected, "{end}");
        assert_all_gone(&family, Some(port), Duration::from_secs(2));
    }
}

/// A Node program without a handler for SIGTERM dies of it, in the middle of a
/// response.
#[test]
fn a_worker_in_node_finishes_its_response_at_a_stop() {
    let Some((server, _script)) = node_workers(1, SLOW) else { return };
    let mut client = connected(&server, GET);
    sleep(Duration::from_millis(100));
    server.signal(Signal::SIGTERM);
    let response = client.read_response().expect("a response");
    assert_eq!(response.status, 200);
    drop(client);
    assert_eq!(server.wait(SOON).code(), Some(0), "{}", server.describe());
}

#[test]
fn a_worker_in_node_that_closes_its_channel_goes_on() {
    let Some((server, _script)) = node_workers(1, SLOW) else { return };
    let worker = server.children();
    let mut client = Client::connect(server.addr()).expect("to connect");
    for path in ["/disconnect", "/", "/"] {
        let response = client.get(path).expect("a response");
        assert_eq!(pid_in(&response.body), Some(worker[0].pid));
    }
    assert_eq!(server.children(), worker);
    signal(worker[0], Signal::SIGKILL);
    server.wait_for_lines("is ready", 2);
    http::get(server.addr()).expect("it is replaced when it exits");
}

/// A master in Node with our worker.
fn node_parent(crash_after: &str) -> Option<(Running, NodeScript)> {
    let node = node()?;
    let script = node_program(PARENT);
    let arguments = [PROGRAM, "--crash-after", crash_after];
    let parent = Program::new(node).arg(&script).args(arguments).start();
    parent.wait_for_line("has it");
    Some((parent, script))
}

/// Sends half a request, and returns once the worker has accepted the connection.
fn half_asked(parent: &Running) -> Client {
    let worker = parent.children()[0].pid;
    let before = fds(worker).len();
    let client = connected(parent, HALF[0]);
    let accepted = || (fds(worker).len() > before).then_some(());
    try_eventually(SOON, accepted).expect("the worker accepts");
    client
}

#[test]
fn under_a_master_in_node_a_worker_answers_and_sends_suicide() {
    let Some((parent, _script)) = node_parent("3") else { return };
    let mut open = half_asked(&parent);
    for _ in 0..3 {
        let response = http::get(parent.addr()).expect("a response");
        let pid = pid_in(&response.body).expect("a pid");
        parent.wait_for_line(&format!("worker {pid} has it"));
    }
    parent.wait_for_line(r#"{"message":{"act":"suicide"}}"#);
    open.send_raw(HALF[1]).expect("to send");
    open.read_response().expect("what was accepted is answered");
    drop(open);
    parent.wait_for_line(r#"{"exit":1,"signal":null}"#);
}

#[test]
fn under_a_master_in_node_a_worker_drains_on_sigterm() {
    let Some((parent, _script)) = node_parent("0") else { return };
    let mut open = half_asked(&parent);
    parent.signal(Signal::SIGUSR2);
    parent.wait_for_line(r#"{"message":{"act":"suicide"}}"#);
    open.send_raw(HALF[1]).expect("to send");
    open.read_response().expect("a response");
    drop(open);
    parent.wait_for_line(r#"{"exit":0,"signal":null}"#);
}

#[test]
fn a_worker_does_not_outlive_a_master_in_node() {
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        let Some((parent, _script)) = node_parent("0") else { return };
        let mut client = half_asked(&parent);
        let (family, port) = (parent.processes(), parent.port());
        assert_eq!(family.len(), 2);
        parent.signal(end);
        client.send_raw(HALF[1]).expect("the other half");
        assert_eq!(
            client.read_response().expect("a response").status,
            200,
            "{end}"
        );
        drop(client);
        assert_all_gone(&family, Some(port), Duration::from_secs(2));
    }
}
