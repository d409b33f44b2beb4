//! The command line, and what does not work.

mod common;

use std::collections::BTreeSet;
use std::net::TcpListener;

use common::{PROGRAM, SOON, program, server, wait_until_full};
use testkit::{Program, Signal, http};

#[test]
fn a_wrong_command_line_shows_the_usage_and_exits_with_2() {
    for (arguments, told) in [
        (&["--crash-after", "x"][..], "--crash-after takes a number"),
        (&["--crash-after", "-1"], "--crash-after takes a number"),
        (&["--crash-after"], "--crash-after"),
        (&["--workers", "0"], "--workers takes a number from 1 to 1024, not '0'"),
        (&["--workers", "1025"], "not '1025'"),
        (&["--port", "65536"], "--port takes a number from 0 to 65535"),
        (&["--exec"], "--exec needs a program"),
        (&["--nonsense"], "unknown flag '--nonsense'"),
        (&["nonsense"], "unknown argument 'nonsense'"),
        (&["worker", "--port", "0"], "unknown flag '--port'"),
        (&["worker", "a", "b"], "unknown argument 'b'"),
        (&["worker", "--crash-after", "x"], "--crash-after takes a number"),
    ] {
        let output = program().args(arguments).output();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stderr.contains(told), "{arguments:?}: {output:?}");
        assert!(output.stderr.contains("Usage: ch05-restart"), "{output:?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
    }
}

#[test]
fn help_is_no_error() {
    for arguments in [&["--help"][..], &["-h"], &["worker", "--help"]] {
        let output = program().args(arguments).output();
        assert!(output.status.success(), "{output:?}");
        assert!(output.stdout.contains("--crash-after N"), "{output:?}");
        assert_eq!(output.stderr, "");
    }
}

/// Fails with 1, and with one line that contains `told`.
#[track_caller]
fn fails(program: Program, told: &str) {
    let output = program.output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        output.stderr.lines().count(),
        1,
        "one line says it all: {output:?}"
    );
    assert!(output.stderr.contains(told), "wanted {told:?}: {output:?}");
}

#[test]
fn a_port_that_is_taken_is_told_and_no_worker_is_started() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let told = format!("cannot listen on 127.0.0.1:{port}: Address already in use");
    fails(program().args(["--port", &port]), &told);
    let elsewhere = program().args(["--port", "0", "--addr", "192.0.2.1"]);
    fails(elsewhere, "cannot listen on 192.0.2.1:0");
}

#[test]
fn a_second_master_cannot_take_the_port_of_the_first() {
    let first = server(1, 1);
    let second = program().args(["--port", &first.port().to_string()]);
    fails(second, "Address already in use");
    http::get(first.addr()).expect("the first goes on");
}

#[test]
fn a_worker_without_a_parent_says_so() {
    let worker = || program().arg("worker").env_remove("NODE_CHANNEL_FD");
    fails(worker(), "run this program without 'worker'");
    for nonsense in ["", "x", "99", "99999999999"] {
        fails(worker().env("NODE_CHANNEL_FD", nonsense), "NODE_CHANNEL_FD");
    }
    let (advanced, _parent) = worker().channel();
    let mode = advanced.env("NODE_CHANNEL_SERIALIZATION_MODE", "advanced");
    fails(mode, "'advanced'");
}

#[test]
fn the_log_needs_no_reader() {
    let script = "\"$0\" --port 0 --workers 2 2>&1 | head -n 1";
    let line = Program::new("sh").args(["-c", script, PROGRAM]).start();
    let addr = line.addr();
    for _ in 0..20 {
        http::get(addr).expect("a server must not die of its log");
    }
}

#[test]
fn by_default_the_first_response_crashes_a_worker() {
    let server = program().args(["--port", "0"]).start();
    let mut seen = BTreeSet::new();
    for _ in 0..10 {
        let response = http::get(server.addr()).expect("a response");
        let pid = testkit::pid_in(&response.body).expect("a pid");
        assert_eq!(response.body, format!("handled by child, pid is {pid}\n"));
        assert_eq!(response.header("Content-Type"), Some("text/plain"));
        assert!(seen.insert(pid), "{pid} answers again");
    }
}

/// A shell starts jobs in the background so.
#[test]
fn a_signal_that_was_ignored_is_handled_all_the_same() {
    let script = "trap '' INT TERM CHLD; exec \"$0\" --port 0 --workers 2";
    let server = Program::new("sh").args(["-c", script, PROGRAM]).start();
    wait_until_full(&server, 2);
    http::get(server.addr()).expect("a response");
    wait_until_full(&server, 2);
    server.signal(Signal::SIGINT);
    assert_eq!(server.wait(SOON).code(), Some(0));
}
