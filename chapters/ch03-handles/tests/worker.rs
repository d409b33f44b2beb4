//! The worker, and a parent that breaks the protocol.

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    time::Duration,
};

use ch02_balance::{FdChannel, Received};
use ch03_handles::Handle;
use common::{End, LONG, program, start, tcp_listener};
use serde_json::Value;
use testkit::{Running, http};

/// Starts a worker. Our end of its channel speaks no protocol.
fn raw() -> (Running, UnixStream) {
    let (program, channel) = program().arg("worker").channel();
    channel.set_read_timeout(Some(LONG)).expect("a time-out");
    (program.start(), channel)
}

/// Starts a worker that serves, and returns where.
fn serving() -> (Running, End, TcpListener) {
    let (worker, mut end) = start(program().arg("worker"));
    let listener = tcp_listener();
    let copy = listener.try_clone().expect("a copy");
    end.send_handle("server", Handle::TcpListener(copy));
    assert!(matches!(end.next(), Received::Acked), "it has the listener");
    (worker, end, listener)
}

#[track_caller]
fn write(mut channel: &UnixStream, text: &str) {
    channel.write_all(text.as_bytes()).expect("the worker reads");
}

#[track_caller]
fn assert_line(channel: &UnixStream, expected: &str) {
    let mut line = String::new();
    BufReader::with_capacity(1, channel)
        .read_line(&mut line)
        .expect("an answer in time");
    assert_eq!(line.trim_end(), expected);
}

#[test]
fn without_a_channel_there_is_one_clear_line() {
    let worker = || program().arg("worker").env_remove("NODE_CHANNEL_FD");
    let output = worker().output();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.contains("NODE_CHANNEL_FD"), "{}", output.stderr);
    assert!(output.stderr.contains("without 'worker'"), "{}", output.stderr);
    assert_eq!(output.stderr.lines().count(), 1, "{}", output.stderr);
    for number in ["1", "99", "-1", "x", "3 "] {
        let output = worker().env("NODE_CHANNEL_FD", number).output();
        assert_eq!(output.status.code(), Some(1), "{number}");
        let named = format!("NODE_CHANNEL_FD is '{number}'");
        assert!(output.stderr.contains(&named), "{}", output.stderr);
    }
}

#[test]
fn garbage_is_logged_and_the_next_message_is_answered() {
    let (worker, channel) = raw();
    write(&channel, "garbage\n\n{\"cmd\":\"NODE_NEWS\"}\n{\"b\":1,\"a\":2}\n");
    assert_line(&channel, "{\"b\":1,\"a\":2}");
    worker.wait_for_stderr("a line on the channel is not JSON");
}

#[test]
fn half_a_line_and_the_end_is_an_error() {
    let (worker, channel) = raw();
    write(&channel, "{\"half\":");
    drop(channel);
    assert_eq!(worker.wait(LONG).code(), Some(1));
    let line = "the channel ended in the middle of a line\n";
    assert_eq!(worker.stderr(), line);
}

#[test]
fn a_line_without_end_is_not_kept_for_ever() {
    let (worker, mut channel) = raw();
    // The worker reads up to its limit, and then closes.
    let piece = vec![b'1'; 1 << 20];
    let taken = (0..64).take_while(|_| channel.write_all(&piece).is_ok()).count();
    assert!((16..=18).contains(&taken), "it has taken {taken} MiB");
    worker.wait_for_stderr("a line on the channel is longer than 16 MiB");
    assert_eq!(worker.wait(LONG).code(), Some(1));
}

#[test]
fn a_handle_message_without_its_handle_is_not_acknowledged() {
    let (worker, channel) = raw();
    write(
        &channel,
        "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Server\",\"msg\":\"server\"}\n7\n",
    );
    assert_line(&channel, "{\"cmd\":\"NODE_HANDLE_NACK\"}");
    assert_line(&channel, "7");
    worker.wait_for_stderr("a handle arrived without its descriptor");
}

#[test]
fn a_handle_that_is_something_else_is_logged() {
    let (program, stream) = program().arg("worker").channel();
    let worker = program.start();
    let mut parent = FdChannel::new(stream, 1).expect("a channel");
    let (pipe, _writer) = nix::unistd::pipe().expect("a pipe");
    parent.send_handle("net.Server", "server".into(), pipe).expect("sent");
    worker.wait_for_stderr("a handle was sent as 'net.Server', but it is a pipe");
    parent.send(&"and now?".into()).expect("sent");
    let message = testkit::try_eventually(LONG, || {
        parent.receive().into_iter().find_map(|received| match received {
            Received::Message(message) => Some(message),
            _ => None,
        })
    });
    assert_eq!(message, Some(Value::from("and now?")), "it goes on");
}

#[test]
fn a_listener_that_does_not_block_is_served_all_the_same() {
    let (_worker, mut end) = start(program().arg("worker"));
    let listener = tcp_listener();
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    end.send_handle("server", Handle::TcpListener(listener));
    for _ in 0..20 {
        assert_eq!(http::get(address).expect("an answer").status, 200);
    }
}

/// A parent that sends and does not read: the worker's memory is bounded, and it
/// exits when the parent is gone.
#[test]
#[ignore = "slow without optimization"]
fn a_parent_that_does_not_read_neither_stops_nor_fills_the_worker() {
    let (worker, mut channel) = raw();
    let line = format!("\"{}\"\n", "x".repeat(1 << 20));
    let sender = std::thread::spawn(move || {
        for _ in 0..64 {
            channel.write_all(line.as_bytes()).expect("the worker reads");
        }
    });
    worker.wait_for_stderr("the channel is full");
    sender.join().expect("it has sent everything");
    let memory = std::fs::read_to_string(format!("/proc/{}/status", worker.pid()));
    let memory = memory.expect("it runs");
    let most = memory.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most = most.and_then(|line| line.trim().strip_suffix(" kB"));
    let most: u64 = most.and_then(|text| text.parse().ok()).expect("a number");
    assert!(most < 100 << 10, "{most} kB");
    worker.wait(LONG);
}

#[test]
fn without_its_parent_a_worker_exits() {
    let (worker, end, listener) = serving();
    let address = listener.local_addr().expect("an address");
    assert_eq!(http::get(address).expect("an answer").status, 200);
    drop((end, listener));
    let status = worker.wait(LONG);
    assert!(status.success(), "{status}");
    testkit::assert_all_gone(&[], Some(address.port()), Duration::from_secs(2));
}
