//! A worker that drains, with its primary stopped, dead, or another program.

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use common::{GET, SOON, alone, alone_with, kept, pid};
use serde_json::json;
use testkit::http::{self, Client};
use testkit::{Program, Signal, node, node_program};

const HALF: [&[u8]; 2] = [b"GET / HTTP/1.1\r\nHo", b"st: x\r\n\r\n"];

/// Half a request, which the worker has read.
fn half(addr: std::net::SocketAddr) -> Client {
    let mut client = kept(addr);
    client.send_raw(HALF[0]).expect("to send");
    client
}

#[test]
fn open_requests_are_answered_and_idle_connections_closed_when_the_server_stops() {
    let mut worker = alone(&[]);
    let (mut idle, mut open) = (kept(worker.addr), half(worker.addr));
    let mut passed = worker.pass();
    worker.worker.signal(Signal::SIGTERM);
    worker.wait_for_drain();
    worker.send(json!({"act": "last", "stop": true}));
    assert!(idle.is_closed_within(SOON));
    open.send_raw(HALF[1]).expect("to send");
    let response = open.read_response().expect("a response");
    assert_eq!(response.header("Connection"), Some("close"));
    // A connection that has just been accepted may still send its first request.
    passed.write_all(GET).expect("to send");
    let mut text = String::new();
    passed.read_to_string(&mut text).expect("a response");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    drop((open, passed));
    assert_eq!(worker.worker.wait(SOON).code(), Some(0));
}

/// Until it hears that no further connection comes, a worker does not exit.
#[test]
fn what_the_primary_has_passed_before_last_is_served() {
    let mut worker = alone(&[]);
    worker.worker.signal(Signal::SIGTERM);
    worker.wait_for_drain();
    for _ in 0..10 {
        let mut client = worker.pass();
        client.write_all(GET).expect("to send");
        let mut start = [0; 12];
        client.read_exact(&mut start).expect("a response");
    }
    worker.send(json!({"act": "last", "stop": false}));
    assert_eq!(worker.worker.wait(SOON).code(), Some(0));
}

/// The primary is stopped: it never says `last`, and introduces no other worker.
#[test]
fn without_a_word_from_the_primary_requests_are_answered_and_connections_end() {
    let mut worker = alone(&[]);
    let mut client = kept(worker.addr);
    worker.worker.signal(Signal::SIGTERM);
    worker.wait_for_drain();
    std::thread::sleep(Duration::from_millis(1_100));
    let response = client.get("/").expect("a response");
    assert_eq!(response.header("Connection"), Some("close"));
}

#[test]
fn when_the_primary_is_gone_what_has_arrived_is_answered() {
    let worker = alone(&[]);
    let mut clients: Vec<Client> = (0..20).map(|_| half(worker.addr)).collect();
    worker.worker.signal(Signal::SIGSTOP);
    for client in &mut clients {
        client.send_raw(HALF[1]).expect("to send");
    }
    drop(worker.channel);
    worker.worker.signal(Signal::SIGCONT);
    for client in &mut clients {
        pid(client.read_response());
    }
    drop(clients);
    assert_eq!(worker.worker.wait(Duration::from_millis(2_500)).code(), Some(0));
}

#[test]
fn a_panic_is_500_for_one_request_and_the_worker_exits_with_1() {
    let mut worker = alone(&["--demo"]);
    let mut other = half(worker.addr);
    let response =
        http::Client::connect(worker.addr).expect("to connect").get("/panic");
    assert_eq!(response.expect("a response").status, 500);
    worker.wait_for_drain();
    other.send_raw(HALF[1]).expect("to send");
    pid(other.read_response());
    worker.send(json!({"act": "last", "stop": true}));
    drop(other);
    assert_eq!(worker.worker.wait(SOON).code(), Some(1));
}

/// A parent that is not our primary sends no `last`: then a drain is the end.
#[test]
fn a_panic_under_another_parent_ends_the_worker_too() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let worker = alone_with(listener, json!("server"), &["--demo"]);
    let mut clients = [kept(worker.addr), kept(worker.addr)];
    let response = clients[0].get("/panic").expect("a response");
    assert_eq!(response.status, 500);
    assert!(clients[1].is_closed_within(SOON));
    assert_eq!(worker.worker.wait(SOON).code(), Some(1));
}

#[test]
fn a_full_worker_takes_nothing_from_its_channel() {
    let mut worker = alone(&["--max-connections", "3"]);
    worker.worker.signal(Signal::SIGSTOP);
    let mut clients: Vec<_> = (0..30).map(|_| worker.pass()).collect();
    worker.worker.signal(Signal::SIGCONT);
    for client in &mut clients {
        client.write_all(GET).expect("to send");
        let mut start = [0; 12];
        client.read_exact(&mut start).expect("a response");
        let open = testkit::fds(worker.worker.pid()).len();
        assert!(open <= 3 + 12, "{open} descriptors");
        client.shutdown(std::net::Shutdown::Both).expect("to shut down");
    }
}

#[test]
fn a_full_worker_leaves_clients_in_the_backlog_and_the_channel() {
    let mut worker = alone(&["--max-connections", "10"]);
    let clients: Vec<Client> = (0..10).map(|_| kept(worker.addr)).collect();
    let mut waiting = Client::connect(worker.addr).expect("the backlog has room");
    waiting.send_raw(GET).expect("to send");
    let mut passed = worker.pass();
    passed.write_all(GET).expect("to send");
    passed.set_read_timeout(Some(Duration::from_millis(300))).expect("a limit");
    assert!(passed.read(&mut [0]).is_err(), "it has room for no more");
    let open = testkit::fds(worker.worker.pid()).len();
    assert!(open < 10 + 12, "{open} descriptors");
    drop(clients);
    pid(waiting.read_response());
    passed.set_read_timeout(Some(SOON)).expect("a limit");
    assert_eq!(passed.read(&mut [0]).ok(), Some(1));
}

#[test]
fn an_idle_worker_uses_no_cpu_and_its_connections_no_memory() {
    let worker = alone(&[]);
    let memory = || {
        let statm = format!("/proc/{}/statm", worker.worker.pid());
        let statm = std::fs::read_to_string(statm).expect("its memory");
        statm.split(' ').nth(1).expect("a number").parse::<u64>().unwrap() * 4
    };
    let before = memory();
    let clients: Vec<Client> = (0..300).map(|_| kept(worker.addr)).collect();
    let (kib, cpu) = (memory() - before, testkit::cpu_time(worker.worker.pid()));
    assert!(kib < 1_000, "{kib} KiB for 300 connections");
    std::thread::sleep(Duration::from_millis(500));
    let used = testkit::cpu_time(worker.worker.pid()) - cpu;
    assert!(used <= Duration::from_millis(10), "{used:?}");
    drop(clients);
}

/// Node's `server.close()` calls back when all sockets are closed, wherever they are;
/// `getConnections` counts them.
#[test]
fn a_node_parent_counts_the_sockets_of_our_worker() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/counts.js"));
    let program = env!("CARGO_BIN_EXE_ch07-cluster");
    let parent =
        Program::new(node).args([script.path().to_str().unwrap(), program]);
    let output = parent.output();
    assert_eq!(
        output.stdout.trim(),
        "counted 2\ncounted 1\nnot closed yet\nclosed\nexit 0",
        "{output:?}"
    );
}
