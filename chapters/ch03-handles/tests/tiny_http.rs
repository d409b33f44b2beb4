//! What tiny_http 0.12 gets wrong, as the book says. If a test of the plain server
//! fails, a new version may have repaired the fault: then the book's page changes
//! too.

mod common;

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread::{self, JoinHandle},
};

use common::{LONG, program, step_on};
use nix::{
    libc,
    sys::{
        signal::Signal,
        socket::{setsockopt, sockopt::Linger},
    },
};
use testkit::{Process, Program, Running, eventually, http, threads};

/// tiny_http alone.
fn plain() -> Running {
    let stack = STACK.to_string();
    let server =
        step_on("plain_tiny_http", "127.0.0.1:0").env("RUST_MIN_STACK", stack);
    let server = server.start();
    server.addr();
    server
}

/// This chapter's server, with one worker.
fn own() -> (Running, Process) {
    let program = program().args(["--port", "0", "--workers", "1"]);
    let parent = program.env("RUST_MIN_STACK", STACK.to_string()).start();
    parent.wait_for_line("the parent has closed its own");
    let worker = parent.children()[0];
    (parent, worker)
}

#[track_caller]
fn connect(server: &Running) -> TcpStream {
    let client = TcpStream::connect(server.addr()).expect("connected");
    client.set_read_timeout(Some(LONG)).expect("a time-out");
    client
}

/// Sends `request`, and returns the status lines of all responses.
#[track_caller]
fn exchange(server: &Running, request: &str) -> Vec<String> {
    let mut client = connect(server);
    client.write_all(request.as_bytes()).expect("written");
    let mut text = String::new();
    client.read_to_string(&mut text).expect("responses");
    let lines = text.lines().filter_map(|line| line.strip_prefix("HTTP/1.1 "));
    lines.map(str::to_owned).collect()
}

/// A number from `/proc/PID/statm`: memory in pages.
fn pages(pid: i32, field: usize) -> usize {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).expect("it runs");
    let pages = text.split_whitespace().nth(field).map(str::parse);
    pages.expect("a field").expect("a number")
}

/// Lowers a limit of a running process (prlimit(2)).
#[track_caller]
fn lower(pid: i32, limit: &str) {
    let pid = pid.to_string();
    let output = Program::new("prlimit").args(["--pid", &pid, limit]).output();
    assert!(output.status.success(), "{}", output.stderr);
}

/// Connects, and resets the connection.
#[track_caller]
fn reset(server: &Running) {
    let mut client = connect(server);
    write!(client, "GET / HTTP/1.1\r\n\r\n").expect("written");
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&client, Linger, &linger).expect("a socket");
}

const LAST: &str = "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn after_a_chunked_request_the_next_one_is_lost_but_not_in_our_worker() {
    let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    let both = format!("{head}5\r\nhello\r\n0\r\n\r\n{LAST}");
    assert_eq!(exchange(&plain(), &both), ["200 OK", "400 Bad Request"]);
    assert_eq!(exchange(&own().0, &both), ["200 OK", "200 OK"]);
}

#[test]
fn two_lengths_hide_a_request() {
    let lengths = format!("Content-Length: 0\r\nContent-Length: {}", LAST.len());
    let one = format!("POST / HTTP/1.1\r\nHost: x\r\n{lengths}\r\n\r\n{LAST}");
    assert_eq!(exchange(&plain(), &one), ["200 OK", "200 OK"]);
    assert_eq!(exchange(&own().0, &one), ["200 OK", "200 OK"]);
}

#[test]
fn a_header_line_is_kept_whatever_its_length() {
    let server = plain();
    let before = pages(server.pid(), 1);
    let mut client = connect(&server);
    write!(client, "GET / HTTP/1.1\r\nX: ").expect("written");
    client.write_all(&vec![b'x'; 4 << 20]).expect("the server reads on");
    eventually("4 MiB more", LONG, || pages(server.pid(), 1) > before + 1000);
}

/// A buffer as long as `Content-Length` says cannot be allocated, and that aborts.
#[test]
fn one_request_kills_a_server_and_a_worker() {
    let length = i64::MAX;
    let head = format!("POST / HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
    let server = plain();
    let mut client = connect(&server);
    client.write_all(head.as_bytes()).expect("written");
    let status = server.wait(LONG);
    assert!(server.stderr().contains("memory allocation of"), "{status}");

    let (parent, worker) = own();
    let mut client = connect(&parent);
    client.write_all(head.as_bytes()).expect("written");
    client.shutdown(std::net::Shutdown::Write).expect("a socket");
    parent.wait_for_line(&format!("worker {} was killed by SIGABRT", worker.pid));
}

#[test]
fn more_connections_take_more_threads() {
    let server = plain();
    let before = threads(server.pid());
    let mut clients = Vec::new();
    eventually("50 more threads", LONG, || {
        clients.push(connect(&server));
        threads(server.pid()) > before + 50
    });
}

/// tiny_http panics for each such client, in the thread of that connection. Another
/// connection may be in its queue for that thread. Then it waits until the next
/// connection makes tiny_http look into the queue.
#[test]
fn after_clients_that_reset_before_they_are_accepted_others_are_answered() {
    let (parent, worker) = own();
    worker.signal(Signal::SIGSTOP);
    for _ in 0..50 {
        reset(&parent);
    }
    worker.signal(Signal::SIGCONT);
    let address = parent.addr();
    let clients: Vec<_> =
        (0..50).map(|_| thread::spawn(move || http::get(address))).collect();
    eventually("an answer to each client", LONG, || {
        drop(TcpStream::connect(address));
        clients.iter().all(JoinHandle::is_finished)
    });
    for client in clients {
        let response = client.join().expect("no panic").expect("an answer");
        assert_eq!(response.status, 200);
    }
    parent.wait_for_stderr("a client reset its connection before it was accepted");
    assert!(parent.stderr().lines().count() < 50, "the log is limited");
    assert!(worker.alive());
}

/// Bytes of stack for each thread. They are reserved and not used: a limit of the
/// address space can then be too small for a thread, and ample for all else.
const STACK: usize = 64 << 20;

/// First an answer: then the server has all threads with which it starts. And it must
/// not grow between the look at its size and the limit.
#[track_caller]
fn allow_no_more_threads(address: SocketAddr, process: Process) {
    assert_eq!(http::get(address).expect("an answer").status, 200);
    process.signal(Signal::SIGSTOP);
    eventually("it is stopped", LONG, || process.stopped());
    lower(
        process.pid,
        &format!("--as={}", pages(process.pid, 0) * 4096 + STACK / 2),
    );
    process.signal(Signal::SIGCONT);
}

/// The accept thread panics if it can start no other.
#[test]
fn without_threads_a_server_accepts_no_more_and_a_worker_exits() {
    let server = plain();
    allow_no_more_threads(server.addr(), server.process());
    let mut clients = Vec::new();
    eventually("it has panicked", LONG, || {
        clients.extend(TcpStream::connect(server.addr()));
        server.stderr().contains("panicked")
    });
    eventually("its listener is closed", LONG, || {
        TcpStream::connect(server.addr()).is_err()
    });
    assert!(server.try_wait().is_none(), "it runs on");

    let (parent, worker) = own();
    allow_no_more_threads(parent.addr(), worker);
    assert_exits(&parent, worker, "failed to spawn thread");
}

/// accept(2) fails, or the accept thread panics: that depends on the number.
#[test]
fn without_descriptors_a_worker_exits() {
    for limit in [40, 41] {
        let (parent, worker) = own();
        lower(worker.pid, &format!("--nofile={limit}"));
        assert_exits(&parent, worker, "Too many open files");
    }
}

/// Opens connections until the worker exits.
#[track_caller]
fn assert_exits(parent: &Running, worker: Process, why: &str) {
    let mut clients = Vec::new();
    eventually("the worker exits", LONG, || {
        clients.extend(TcpStream::connect(parent.addr()));
        !worker.alive()
    });
    parent.wait_for_line(&format!("worker {} exited with code 1", worker.pid));
    let line = parent.wait_for_stderr("cannot accept any more: ");
    assert!(line.contains(why), "{line}");
    assert_eq!(parent.wait(LONG).code(), Some(1));
}
