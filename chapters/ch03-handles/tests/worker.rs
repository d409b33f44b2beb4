//! The worker, and a parent that sends it what no parent should.

mod common;

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::net::UnixStream,
    time::Duration,
};

use ch02_balance::{FdChannel, Incoming};
use ch03_handles::Handle;
use common::{LONG, message, program, start, tcp_listener};
use serde_json::{Map, Value};
use testkit::{Running, Signal, http};

/// Starts a worker with a channel that speaks no protocol.
fn raw() -> (Running, UnixStream) {
    let (program, channel) = program().arg("worker").channel();
    channel.set_read_timeout(Some(LONG)).expect("a time-out");
    (program.start(), channel)
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
    let by_hand = "a worker is started by its parent, which gives it a channel in \
                   NODE_CHANNEL_FD; run this program without 'worker'";
    let worker = || program().arg("worker").env_remove("NODE_CHANNEL_FD");
    let output = worker().output();
    assert_eq!(
        (output.status.code(), output.stderr.trim_end()),
        (Some(1), by_hand)
    );
    for number in ["1", "99", "-1", "", "x", "3 "] {
        let output = worker().env("NODE_CHANNEL_FD", number).output();
        let expected = format!(
            "NODE_CHANNEL_FD is '{number}', which is no open Unix stream socket\n"
        );
        assert_eq!((output.status.code(), output.stderr), (Some(1), expected));
    }
    let (program, _channel) = program().arg("worker").channel();
    let output =
        program.env("NODE_CHANNEL_SERIALIZATION_MODE", "advanced").output();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.contains("speaks 'advanced'"), "{}", output.stderr);
}

#[test]
fn garbage_is_complained_of_and_the_next_message_counts() {
    let (worker, channel) = raw();
    write(&channel, "garbage\n\n{\"cmd\":\"NODE_NEWS\"}\n{\"b\":1,\"a\":2}\n");
    assert_line(&channel, "{\"b\":1,\"a\":2}");
    worker.wait_for_stderr("a line on the channel is not JSON");
}

#[test]
fn half_a_line_and_the_end_is_complained_of() {
    let (worker, channel) = raw();
    write(&channel, "{\"half\":");
    drop(channel);
    assert!(worker.wait(LONG).success());
    worker.wait_for_stderr("the channel ended in the middle of a line");
}

#[test]
fn a_line_without_end_is_not_kept_for_ever() {
    let (worker, mut channel) = raw();
    // Until the worker has had enough and closes. What it takes before that is bounded.
    let piece = vec![b'1'; 1 << 20];
    let taken = (0..64).take_while(|_| channel.write_all(&piece).is_ok()).count();
    assert!((16..=18).contains(&taken), "it has taken {taken} MiB");
    worker.wait_for_stderr("a line on the channel is longer than 16 MiB");
    assert!(worker.wait(LONG).success());
}

#[test]
fn a_handle_message_without_its_handle_is_asked_for_again() {
    let (worker, channel) = raw();
    write(
        &channel,
        "{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Server\",\"msg\":\"server\"}\n7\n",
    );
    assert_line(&channel, "{\"cmd\":\"NODE_HANDLE_NACK\"}");
    assert_line(&channel, "7");
    worker.wait_for_stderr("a handle was lost");
}

#[test]
fn a_handle_that_is_another_is_complained_of() {
    let (program, stream) = program().arg("worker").channel();
    let worker = program.start();
    let mut parent = FdChannel::new(stream).expect("a channel");
    let (pipe, _writer) = nix::unistd::pipe().expect("a pipe");
    parent
        .pass("net.Server", Map::new(), Value::from("server"), pipe)
        .expect("sent");
    worker.wait_for_stderr("a handle was sent as 'net.Server', but it is a pipe");
    parent.send(&Value::from("and now?")).expect("sent");
    let heard = testkit::try_eventually(LONG, || match parent.recv() {
        Ok(Some(Incoming::Message(message))) => Some(message),
        _ => None,
    });
    assert_eq!(heard, Some(Value::from("and now?")), "it lives on");
}

#[test]
fn a_listener_that_does_not_block_is_served_all_the_same() {
    let (_worker, mut channel) = start(program().arg("worker"));
    let listener = tcp_listener();
    listener.set_nonblocking(true).expect("a socket");
    let address = listener.local_addr().expect("an address");
    channel
        .send_handle("server".into(), Handle::TcpListener(listener))
        .expect("sent");
    for _ in 0..20 {
        assert_eq!(http::get(address).expect("an answer").status, 200);
    }
}

#[test]
fn ctrl_c_is_the_parent_s_business() {
    let (worker, mut channel) = start(program().arg("worker"));
    // Only once it has answered is it sure to have seen to its signals.
    channel.send(&Value::from(1)).expect("sent");
    assert_eq!(message(&mut channel).0, 1);
    worker.signal(Signal::SIGINT);
    channel.send(&Value::from(2)).expect("sent");
    assert_eq!(message(&mut channel).0, 2);
}

#[test]
fn without_its_parent_a_worker_ends() {
    let (worker, mut channel) = start(program().arg("worker"));
    let listener: TcpListener = tcp_listener();
    let address = listener.local_addr().expect("an address");
    channel
        .send_handle("server".into(), Handle::TcpListener(listener))
        .expect("sent");
    assert_eq!(http::get(address).expect("an answer").status, 200);
    drop(channel);
    let status = worker.wait(LONG);
    assert!(status.success(), "{status}");
    testkit::assert_all_gone(&[], Some(address.port()), Duration::from_secs(2));
}
