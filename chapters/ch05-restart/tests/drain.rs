//! A worker that is asked to end finishes what it has.

mod common;

use std::net::Shutdown;
use std::thread::spawn;

use common::worker::alone;
use common::{
    GET, SOON, accepted, answer, only_worker, says_close, server, signal, status,
};
use serde_json::json;
use testkit::http::Client;
use testkit::{Running, Signal, eventually};

/// Sends SIGTERM to the only worker, and returns once it drains.
fn drain(server: &Running) -> i32 {
    let worker = only_worker(server);
    signal(worker, Signal::SIGTERM);
    server.wait_for_line(&format!("worker {} drains", worker.pid));
    worker.pid
}

#[test]
fn half_a_request_is_answered_when_its_other_half_comes() {
    let server = server(1, 0);
    let mut client = accepted(&server, b"GET / HTTP/1.1\r\nHo");
    let old = drain(&server);
    client.send_raw(b"st: localhost\r\n\r\n").expect("the other half");
    let (response, pid) = answer(&mut client);
    assert_eq!(pid, old, "the worker that had accepted it");
    assert!(
        says_close(&response),
        "no further request can come here: {response:?}"
    );
    assert!(client.is_closed_within(SOON));
    server.wait_for_line(&format!("worker {old} exited with code 0"));
}

#[test]
fn an_idle_connection_gets_its_next_request_answered() {
    let server = server(1, 0);
    let mut client = accepted(&server, b"");
    let first = client.get("/").expect("an answer");
    assert!(!says_close(&first), "{first:?}");
    let old = drain(&server);
    server.wait_for_line(&format!("worker {old} exited with code 0"));
    client.send_raw(GET).expect("the next request");
    let (second, pid) = answer(&mut client);
    assert_ne!(
        pid, old,
        "the connection has gone to another worker, and the client on with it"
    );
    assert!(!says_close(&second), "{second:?}");
}

/// The listener's queue: connections that the kernel has made and nobody has accepted.
#[test]
fn those_who_wait_in_the_queue_of_a_lone_worker_are_answered() {
    let mut alone = alone(0);
    signal(alone.worker.process(), Signal::SIGSTOP);
    let mut clients: Vec<Client> = (0..20)
        .map(|_| {
            let mut client =
                Client::connect(alone.addr).expect("the kernel connects us");
            client.send_raw(GET).expect("to send");
            client
        })
        .collect();
    // Nobody else will ever take them.
    alone.listener = None;
    signal(alone.worker.process(), Signal::SIGTERM);
    signal(alone.worker.process(), Signal::SIGCONT);
    let answers = clients.iter_mut().map(Client::read_response);
    let answered = answers.filter(|answer| answer.is_ok()).count();
    assert_eq!(
        answered, 20,
        "answered, of 20 that had sent a whole request before SIGTERM"
    );
    assert!(alone.worker.wait(SOON).success());
}

#[test]
fn ten_requests_in_one_write_are_all_answered_though_the_first_crashes_the_worker()
{
    let server = server(1, 1);
    let mut client = accepted(&server, &GET.repeat(10));
    let mut pids = Vec::new();
    for number in 1..=10 {
        let response = client.read_response();
        let response = response
            .unwrap_or_else(|e| panic!("answer {number} of 10 is lost: {e}"));
        pids.push(testkit::pid_in(&response.body));
    }
    pids.dedup();
    assert_eq!(pids.len(), 1, "one connection, one worker");
}

#[test]
fn ten_requests_in_one_write_are_answered_in_order() {
    let server = server(1, 0);
    let mixed = b"GET / HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc";
    let bytes = [mixed.as_slice(), GET, b"\0nonsense\r\n\r\n"].concat();
    let text = testkit::http::raw_exchange(server.addr(), &bytes).expect("answers");
    let lines: Vec<_> =
        text.lines().filter(|line| line.starts_with("HTTP/")).collect();
    let (ok, bad) = ("HTTP/1.1 200 OK", "HTTP/1.1 400 Bad Request");
    assert_eq!(lines, [ok, ok, ok, ok, bad], "{text}");
}

#[test]
fn a_panic_ends_the_worker_with_1_and_sigterm_with_0() {
    let mut panics = alone(1);
    testkit::http::get(panics.addr).expect("an answer");
    assert_eq!(panics.last_words(), [json!({"act": "suicide"})], "said once");
    assert_eq!(panics.worker.wait(SOON).code(), Some(1));
    let told = panics.worker.stderr();
    assert!(
        told.contains("panicked") && told.lines().count() == 1,
        "one line tells: {told:?}"
    );

    let mut asked = alone(1);
    asked.worker.signal(Signal::SIGTERM);
    assert_eq!(asked.last_words(), [json!({"act": "suicide"})]);
    assert_eq!(asked.worker.wait(SOON).code(), Some(0));
}

#[test]
fn to_be_asked_again_changes_nothing() {
    let mut alone = alone(0);
    let mut client = Client::connect(alone.addr).expect("to connect");
    client.get("/").expect("an answer");
    for _ in 0..5 {
        alone.worker.signal(Signal::SIGTERM);
        // Each of them is heard for itself.
        eventually("the signal was taken", SOON, || {
            !is_pending(alone.worker.pid())
        });
    }
    client.send_raw(GET).expect("to send");
    assert!(says_close(&answer(&mut client).0));
    drop(client);
    assert_eq!(alone.last_words(), [json!({"act": "suicide"})], "said once");
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
    let mut idle = Client::connect(alone.addr).expect("to connect");
    idle.send_raw(b"GET").expect("to send");
    let mut crashes = Client::connect(alone.addr).expect("to connect");
    crashes.get("/").expect("an answer");
    assert!(alone.next().is_some(), "suicide");
    alone.worker.signal(Signal::SIGTERM);
    drop((idle, crashes));
    assert_eq!(alone.worker.wait(SOON).code(), Some(1), "it had panicked before");
}

#[test]
fn ctrl_c_is_the_masters_business() {
    let alone = alone(0);
    let mut client = Client::connect(alone.addr).expect("to connect");
    client.get("/").expect("an answer");
    for _ in 0..3 {
        alone.worker.signal(Signal::SIGINT);
    }
    for _ in 0..3 {
        client
            .get("/")
            .expect("SIGINT reaches the whole group: a worker ignores it");
    }
    testkit::http::get(alone.addr).expect("and it goes on accepting");
}

#[test]
fn a_client_that_has_ended_its_side_gets_its_answer_while_the_worker_drains() {
    let server = server(1, 0);
    let mut client = accepted(&server, &GET[..10]);
    let old = drain(&server);
    client.send_raw(&GET[10..]).expect("the rest");
    client.stream().shutdown(Shutdown::Write).expect("to end our side");
    assert_eq!(answer(&mut client).1, old);
    assert!(client.is_closed_within(SOON));
}

#[test]
fn when_its_parent_is_gone_it_still_answers_within_a_second() {
    let mut alone = alone(0);
    let mut client = Client::connect(alone.addr).expect("to connect");
    client.get("/").expect("an answer");
    client.send_raw(&GET[..10]).expect("half a request");
    let (ours, _) = std::os::unix::net::UnixStream::pair().expect("a pair");
    alone.channel =
        ch03_handles::HandleChannel::new(ours).expect("another channel");
    let (_, rest) = GET.split_at(10);
    let asking =
        spawn(move || client.send_raw(rest).and_then(|()| client.read_response()));
    let response = asking.join().expect("no panic").expect("an answer");
    assert_eq!(response.status, 200);
    assert_eq!(alone.worker.wait(SOON).code(), Some(0));
}
