//! A worker that drains answers its open connections.

mod common;

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::Duration;

use ch03_handles::HandleChannel;
use common::worker::{Alone, alone};
use common::{
    GET, HALF, SOON, accepted, only_worker, program, response, server, signal,
    status,
};
use serde_json::json;
use testkit::http::{self, Client};
use testkit::{Running, Signal, eventually, fds};

/// Sends SIGTERM to the only worker, and returns once it drains.
fn drain(server: &Running) -> i32 {
    let worker = only_worker(server);
    signal(worker, Signal::SIGTERM);
    server.wait_for_line(&format!("worker {} drains", worker.pid));
    worker.pid
}

/// Connects to a worker without a master, and returns once it has accepted.
fn accepted_by(alone: &Alone, bytes: &[u8]) -> Client {
    let before = fds(alone.worker.pid()).len();
    let mut client = Client::connect(alone.addr).expect("to connect");
    client.send_raw(bytes).expect("to send");
    eventually("the worker accepts", SOON, || {
        fds(alone.worker.pid()).len() > before
    });
    client
}

/// Closes the channel, as the death of the master does.
fn orphan(alone: &mut Alone) {
    let (other, _) = UnixStream::pair().expect("a pair");
    alone.channel = HandleChannel::new(other).expect("another channel");
}

#[test]
fn half_a_request_is_answered_when_its_other_half_arrives() {
    let server = server(1, 0);
    let mut client = accepted(&server, HALF[0]);
    let old = drain(&server);
    client.send_raw(HALF[1]).expect("the other half");
    assert_eq!(response(&mut client).1, old, "the worker that accepted it");
    assert!(client.is_closed_within(SOON));
    drop(client);
    server.wait_for_line(&format!("worker {old} exited with code 0"));
}

#[test]
fn a_client_that_has_shut_down_its_side_is_answered_while_the_worker_drains() {
    let server = server(1, 0);
    let mut client = accepted(&server, HALF[0]);
    let old = drain(&server);
    client.send_raw(HALF[1]).expect("the rest");
    client.shutdown_write().expect("to shut down");
    assert_eq!(response(&mut client).1, old);
}

#[test]
fn a_panic_ends_the_worker_with_1_and_sigterm_with_0() {
    let mut panics = alone(1);
    http::get(panics.addr).expect("a response");
    assert_eq!(panics.last_messages(), [json!({"act": "suicide"})], "sent once");
    assert_eq!(panics.worker.wait(SOON).code(), Some(1));
    let told = panics.worker.stderr();
    let one_line = told.contains("panicked") && told.lines().count() == 1;
    assert!(one_line, "one line tells: {told:?}");

    let mut asked = alone(1);
    asked.worker.signal(Signal::SIGTERM);
    assert_eq!(asked.last_messages(), [json!({"act": "suicide"})]);
    assert_eq!(asked.worker.wait(SOON).code(), Some(0));
    assert_eq!(asked.worker.stderr(), "");
}

#[test]
fn what_was_accepted_before_a_panic_is_answered_after_it() {
    let mut alone = alone(1);
    let mut open: Vec<_> = (0..5).map(|_| accepted_by(&alone, HALF[0])).collect();
    http::get(alone.addr).expect("a response, and then a panic");
    let first = alone.next();
    let suicide = matches!(&first, ch02_balance::Received::Message(it) if it["act"] == "suicide");
    assert!(suicide, "{first:?}");
    for client in &mut open {
        client.send_raw(HALF[1]).expect("the other half");
        assert_eq!(response(client).1, alone.worker.pid());
    }
    drop(open);
    assert_eq!(alone.worker.wait(SOON).code(), Some(1));
}

#[test]
fn to_be_asked_again_changes_nothing() {
    let mut alone = alone(0);
    let mut client = accepted_by(&alone, HALF[0]);
    for _ in 0..5 {
        alone.worker.signal(Signal::SIGTERM);
        // A signal that is pending already is not queued again: wait for each.
        let pid = alone.worker.pid();
        eventually("the signal was taken", SOON, || !is_pending(pid));
    }
    client.send_raw(HALF[1]).expect("to send");
    response(&mut client);
    drop(client);
    assert_eq!(alone.last_messages(), [json!({"act": "suicide"})], "sent once");
    assert_eq!(alone.worker.wait(SOON).code(), Some(0));
}

/// SIGTERM is 15: the third bit of its hexadecimal digit.
fn is_pending(pid: i32) -> bool {
    let masks =
        ["SigPnd:", "ShdPnd:"].map(|name| status(pid, name).unwrap_or_default());
    masks.iter().any(|mask| mask.contains('4'))
}

#[test]
fn the_first_reason_decides_the_exit_code() {
    let mut alone = alone(1);
    let open = accepted_by(&alone, b"GET");
    http::get(alone.addr).expect("a response, and then a panic");
    alone.next();
    alone.worker.signal(Signal::SIGTERM);
    drop(open);
    assert_eq!(alone.worker.wait(SOON).code(), Some(1), "it had panicked before");
}

#[test]
fn sigint_is_ignored() {
    let alone = alone(0);
    for _ in 0..3 {
        alone.worker.signal(Signal::SIGINT);
        http::get(alone.addr).expect("Ctrl-C reaches the whole process group");
    }
}

#[test]
fn without_a_parent_a_worker_has_a_second_for_its_open_connections() {
    let mut alone = alone(0);
    let mut client = accepted_by(&alone, HALF[0]);
    orphan(&mut alone);
    sleep(Duration::from_millis(300));
    client.send_raw(HALF[1]).expect("the other half");
    response(&mut client);
    drop(client);
    assert_eq!(alone.worker.wait(SOON).code(), Some(0));
    assert_eq!(alone.worker.stderr(), "", "that is no error");
}

/// The worker's second has passed before it can look at what arrived.
#[test]
fn what_arrives_while_a_draining_worker_is_stopped_is_answered() {
    let mut alone = alone(0);
    let mut clients: Vec<_> =
        (0..5).map(|_| accepted_by(&alone, HALF[0])).collect();
    orphan(&mut alone);
    eventually("it has closed its listener", SOON, || {
        let listens = |(_, target): &(i32, String)| target.starts_with("socket:");
        let sockets =
            fds(alone.worker.pid()).iter().filter(|it| listens(it)).count();
        sockets == 5 + 2 // the ends of its signal pipe
    });
    signal(alone.worker.process(), Signal::SIGSTOP);
    for client in &mut clients {
        client.send_raw(HALF[1]).expect("the other half");
    }
    sleep(Duration::from_millis(1_500));
    signal(alone.worker.process(), Signal::SIGCONT);
    for client in &mut clients {
        response(client);
    }
}

/// More answers than the socket holds, and then the parent exits: the worker cannot
/// write them.
#[test]
fn a_parent_that_asks_reads_nothing_and_dies_ends_its_worker() {
    let (program, mut stream) = program().arg("worker").channel();
    let worker = program.start();
    stream.set_write_timeout(Some(Duration::from_millis(300))).expect("to set");
    let line = b"{\"cmd\":\"NODE_HANDLE\"}\n";
    let _ = stream.write_all(&line.repeat(20_000));
    drop(stream);
    assert_eq!(worker.wait(Duration::from_millis(2_500)).code(), Some(0));
    let lines = worker.stderr().lines().count();
    assert!(lines < 50, "{lines} lines of complaints");
}

#[test]
#[ignore = "takes 12 s"]
fn what_clients_ask_of_a_stopped_worker_is_answered_when_it_continues() {
    let server = server(1, 0);
    let mut open: Vec<_> = (0..10).map(|_| accepted(&server, HALF[0])).collect();
    let worker = only_worker(&server);
    signal(worker, Signal::SIGSTOP);
    for client in &mut open {
        client.send_raw(HALF[1]).expect("the other half");
    }
    open.extend((0..10).map(|_| common::connected(&server, GET)));
    sleep(Duration::from_secs(11));
    signal(worker, Signal::SIGCONT);
    for client in &mut open {
        assert_eq!(response(client).1, worker.pid);
    }
}
