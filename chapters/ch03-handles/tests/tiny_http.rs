//! What tiny_http 0.12 does wrong, and the book says so. If one of these tests
//! fails, a new version may have repaired it: then the book's page changes too.

mod common;

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use common::{LONG, program};
use nix::{
    libc,
    sys::{
        signal::Signal,
        socket::{setsockopt, sockopt::Linger},
    },
};
use testkit::{Process, Running, eventually, http, threads};

/// A server with one worker.
fn start() -> (Running, Process) {
    let parent = program().args(["--port", "0", "--workers", "1"]).start();
    parent.wait_for_line("the parent has closed its own");
    let worker = parent.children()[0];
    (parent, worker)
}

#[track_caller]
fn connect(parent: &Running) -> TcpStream {
    let client = TcpStream::connect(parent.addr()).expect("connected");
    client.set_read_timeout(Some(LONG)).expect("a time-out");
    client
}

/// The first lines of all responses on this connection, up to its end.
#[track_caller]
fn status_lines(client: &mut TcpStream) -> Vec<String> {
    let mut text = String::new();
    client.read_to_string(&mut text).expect("responses");
    let lines = text.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
    lines.map(str::to_owned).collect()
}

#[test]
fn after_a_chunked_request_the_next_one_is_lost() {
    let (parent, _) = start();
    let mut client = connect(&parent);
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    write!(client, "{head}5\r\nhello\r\n0\r\n\r\n").expect("written");
    write!(client, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("written");
    assert_eq!(status_lines(&mut client), ["200 OK", "400 Bad Request"]);
}

#[test]
fn two_lengths_hide_a_request() {
    let (parent, _) = start();
    let mut client = connect(&parent);
    let hidden = "GET /hidden HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let lengths = format!("Content-Length: 0\r\nContent-Length: {}", hidden.len());
    write!(client, "POST / HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n{hidden}")
        .expect("written");
    assert_eq!(status_lines(&mut client), ["200 OK", "200 OK"]);
}

#[test]
fn a_header_line_is_kept_whatever_its_length() {
    let (parent, worker) = start();
    let memory = || {
        let text = std::fs::read_to_string(format!("/proc/{}/statm", worker.pid));
        let text = text.expect("it runs");
        let pages = text.split(' ').nth(1).and_then(|it| it.parse::<usize>().ok());
        pages.expect("resident pages") * 4096
    };
    let before = memory();
    let mut client = connect(&parent);
    write!(client, "GET / HTTP/1.1\r\nX: ").expect("written");
    client.write_all(&vec![b'x'; 4 << 20]).expect("the worker reads on");
    eventually("4 MiB more", LONG, || memory() > before + (4 << 20));
}

/// The allocation of a buffer as long as `Content-Length` says fails, and that
/// aborts.
#[test]
fn one_request_kills_a_worker() {
    let (parent, worker) = start();
    let mut client = connect(&parent);
    write!(client, "POST / HTTP/1.1\r\nContent-Length: {}\r\n\r\n", i64::MAX)
        .expect("written");
    parent.wait_for_line(&format!("worker {} was killed by SIGABRT", worker.pid));
}

/// tiny_http panics for each of them, in a thread that is no other connection's.
#[test]
fn clients_that_reset_before_they_are_accepted_cost_no_other_client() {
    let (parent, worker) = start();
    worker.signal(Signal::SIGSTOP);
    for _ in 0..50 {
        let mut client = connect(&parent);
        write!(client, "GET / HTTP/1.1\r\n\r\n").expect("written");
        // Then close(2) resets the connection.
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(&client, Linger, &linger).expect("a socket");
    }
    worker.signal(Signal::SIGCONT);
    for _ in 0..50 {
        assert_eq!(http::get(parent.addr()).expect("an answer").status, 200);
    }
    parent.wait_for_stderr("a client reset its connection before it was accepted");
    assert!(parent.stderr().lines().count() < 50, "the log is limited");
    assert!(worker.alive());
}

/// Lowers a limit of the worker (prlimit(2)), and opens connections until it exits.
#[track_caller]
fn exits_when_it_runs_out_of(limit: &str, expected: &str) {
    let (parent, worker) = start();
    let pid = worker.pid.to_string();
    let output =
        testkit::Program::new("prlimit").args(["--pid", &pid, limit]).output();
    assert!(output.status.success(), "{}", output.stderr);
    let mut clients = Vec::new();
    eventually("the worker exits", LONG, || {
        clients.extend(TcpStream::connect(parent.addr()));
        !worker.alive()
    });
    parent.wait_for_line(&format!("worker {pid} exited with code 1"));
    let line = parent.wait_for_stderr("cannot accept any more: ");
    assert!(line.contains(expected), "{line}");
    assert_eq!(parent.wait(LONG).code(), Some(1));
}

/// Its thread that accepts panics, and that ends no process by itself.
#[test]
fn a_worker_that_can_start_no_thread_exits() {
    // Address space: a new thread needs a stack.
    let (parent, worker) = start();
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", worker.pid));
    let pages = statm.expect("it runs");
    let pages = pages.split(' ').next().and_then(|it| it.parse::<usize>().ok());
    let now = pages.expect("pages") * 4096;
    drop(parent);
    exits_when_it_runs_out_of(
        &format!("--as={}", now + (16 << 20)),
        "failed to spawn thread",
    );
}

#[test]
fn a_worker_that_has_no_descriptor_free_exits() {
    exits_when_it_runs_out_of("--nofile=40", "Too many open files");
}

/// A new thread whenever all are busy, and no limit.
#[test]
fn more_connections_take_more_threads() {
    let (parent, worker) = start();
    let before = threads(worker.pid);
    let mut clients = Vec::new();
    eventually("50 more threads", LONG, || {
        clients.push(connect(&parent));
        threads(worker.pid) > before + 50
    });
}
