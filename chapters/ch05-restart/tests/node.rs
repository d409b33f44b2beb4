//! The other half of each pair is Node's: the article's workers under our master, and our workers
//! under a master in Node.

mod common;

use std::collections::BTreeSet;
use std::time::Duration;

use common::{GET, SOON, says_close, server_of, wait_until_full};
use testkit::http::{self, Client};
use testkit::{
    NodeScript, Program, Running, Signal, assert_all_gone, node, node_program,
    pid_in,
};

const PARENT: &str = include_str!("node/parent.js");
const WORKER: &str = include_str!("node/worker.js");

/// Our master with the article's workers.
fn node_workers(workers: usize) -> Option<(Running, NodeScript)> {
    let node = node()?;
    let script = node_program(WORKER);
    let path = script.path().to_str().expect("UTF-8");
    let server = server_of(workers, &[node.to_str().expect("UTF-8"), path]);
    wait_until_full(&server, workers);
    Some((server, script))
}

#[test]
fn the_articles_workers_are_healed() {
    let Some((server, _script)) = node_workers(2) else { return };
    let mut pids = BTreeSet::new();
    for number in 1..=8 {
        let answer = http::get(server.addr());
        let answer = answer.unwrap_or_else(|e| {
            panic!("answer {number}: {e}\n{}", server.stderr())
        });
        let pid = pid_in(&answer.body).expect("a pid");
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
fn nothing_is_left_of_the_articles_workers() {
    for end in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        let Some((server, _script)) = node_workers(2) else { return };
        http::get(server.addr()).expect("an answer");
        let (family, port) = (server.processes(), server.port());
        server.signal(end);
        let code = server.wait(SOON).code();
        assert_eq!(
            code,
            if end == Signal::SIGKILL { None } else { Some(0) },
            "{end}"
        );
        assert_all_gone(&family, Some(port), Duration::from_secs(2));
    }
}

/// A master in Node with our worker.
fn node_parent(crash_after: &str) -> Option<(Running, NodeScript)> {
    let node = node()?;
    let script = node_program(PARENT);
    let arguments =
        [env!("CARGO_BIN_EXE_ch05-restart"), "--crash-after", crash_after];
    let parent = Program::new(node).arg(&script).args(arguments).start();
    parent.wait_for_line("has it");
    Some((parent, script))
}

#[test]
fn under_a_master_in_node_a_worker_answers_and_says_suicide() {
    let Some((parent, _script)) = node_parent("3") else { return };
    let mut client = Client::connect(parent.addr()).expect("to connect");
    for _ in 0..3 {
        let pid = pid_in(&client.get("/").expect("an answer").body).expect("a pid");
        parent.wait_for_line(&format!("worker {pid} has it"));
    }
    parent.wait_for_line(r#"{"message":{"act":"suicide"}}"#);
    client.send_raw(GET).expect("to send");
    let last = client.read_response().expect("what it still owes is answered");
    assert!(says_close(&last), "{last:?}");
    parent.wait_for_line(r#"{"exit":1,"signal":null}"#);
}

#[test]
fn under_a_master_in_node_a_worker_drains_on_sigterm() {
    let Some((parent, _script)) = node_parent("0") else { return };
    let mut client = Client::connect(parent.addr()).expect("to connect");
    client.get("/").expect("an answer");
    parent.signal(Signal::SIGUSR2);
    parent.wait_for_line(r#"{"message":{"act":"suicide"}}"#);
    client.send_raw(GET).expect("to send");
    assert!(says_close(&client.read_response().expect("an answer")));
    parent.wait_for_line(r#"{"exit":0,"signal":null}"#);
}

#[test]
fn a_worker_does_not_outlive_a_master_in_node() {
    for end in [Signal::SIGTERM, Signal::SIGKILL] {
        let Some((parent, _script)) = node_parent("0") else { return };
        let mut client = Client::connect(parent.addr()).expect("to connect");
        client.get("/").expect("an answer");
        let (family, port) = (parent.processes(), parent.port());
        assert_eq!(family.len(), 2);
        client.send_raw(&GET[..10]).expect("half a request");
        parent.signal(end);
        client.send_raw(&GET[10..]).expect("the other half");
        assert_eq!(client.read_response().expect("an answer").status, 200, "{end}");
        assert_all_gone(&family, Some(port), Duration::from_secs(2));
    }
}
