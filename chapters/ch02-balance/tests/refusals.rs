//! What the program refuses, and how it says so.

mod common;

use std::{fs, net::TcpListener};

use common::{LONG, Peer, is_root, program, server, skipped};
use serde_json::json;
use testkit::{Output, temp_dir};

/// One line on standard error, and nothing else.
#[track_caller]
fn assert_complaint(output: &Output, line: &str) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(
        output.stderr,
        format!("{line}\n"),
        "one line that says what and why"
    );
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let output = program().args(["--port", &port.to_string()]).output();
    assert_complaint(
        &output,
        &format!("cannot listen on 127.0.0.1:{port}: Address already in use"),
    );
    assert_eq!(output.stdout, "", "and no child is started");

    let server = server();
    let output = program().args(["--port", &server.port().to_string()]).output();
    assert!(
        output.stderr.contains("Address already in use"),
        "nor is it shared with another"
    );
}

#[test]
fn a_port_that_may_not_be_used() {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    let first: u16 =
        first.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024);
    if is_root() || first <= 80 {
        skipped("this user may listen on port 80");
        return;
    }
    let output = program().args(["--port", "80"]).output();
    assert_complaint(&output, "cannot listen on 127.0.0.1:80: Permission denied");
}

#[test]
fn an_address_that_is_not_ours() {
    let output = program().args(["--addr", "192.0.2.1", "--port", "0"]).output();
    assert_complaint(
        &output,
        "cannot listen on 192.0.2.1:0: Cannot assign requested address",
    );
    // Its colons are not the one before the port.
    let output = program().args(["--addr", "2001:db8::1", "--port", "0"]).output();
    let begins = "cannot listen on [2001:db8::1]:0: ";
    assert!(output.stderr.starts_with(begins), "{output:?}");
    let output =
        program().args(["--addr", "not an address", "--port", "0"]).output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        output.stderr.starts_with("cannot listen on not an address:0: "),
        "{output:?}"
    );
}

#[test]
fn a_child_that_cannot_be_started() {
    // execvp(3) says `Permission denied` where it may not even look into a place
    // in PATH.
    let program = || program().env("PATH", "/usr/bin:/bin");
    let output = program().args(["--port", "0", "--exec", "nosuch"]).output();
    assert_complaint(&output, "cannot start nosuch: No such file or directory");
    let dir = temp_dir();
    let file = dir.write("text", "no program");
    let output = program().args(["--port", "0", "--exec"]).arg(&file).output();
    assert_complaint(
        &output,
        &format!("cannot start {}: Permission denied", file.display()),
    );
}

/// The line says what was attempted, however early the descriptors run out.
#[test]
fn too_few_descriptors() {
    for (limit, line) in [
        (4, "cannot start true: Too many open files"),
        (6, "cannot start true: Too many open files"),
        (16, "no child is left, and this chapter does not replace them"),
    ] {
        let words = "--port 0 --exec true";
        assert_complaint(&common::limited(limit, words).output(), line);
    }
}

/// Process 1 ignores every signal for which it has no handler (kill(2)), even
/// SIGTERM.
#[test]
fn as_process_1_the_parent_says_that_it_needs_an_init() {
    let unshare = |arguments: &[&str]| {
        let namespace = ["--user", "--map-root-user", "--pid", "--fork"];
        testkit::Program::new("unshare").args(namespace).args(arguments)
    };
    if !unshare(&["true"]).output().status.success() {
        return; // not every machine allows it
    }
    let own = env!("CARGO_BIN_EXE_ch02-balance");
    let output = unshare(&[own, "--port", "0", "--exec", "true"]).output();
    let first = output.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("this is process 1, and no signal"), "{first}");
}

#[test]
fn a_wrong_command_line_shows_the_usage_and_exits_with_2() {
    let wrong: [&[&str]; 11] = [
        &["--port", "70000"],
        &["--port", "x"],
        &["--port", "-1"],
        &["--port", ""],
        &["--port"],
        &["--addr"],
        &["--exec"],
        &["--workers", "2"],
        &["--nosuch"],
        &["surplus"],
        &["worker", "normal", "surplus"],
    ];
    for words in wrong {
        let output = program().args(words).output();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
        assert_eq!(output.stdout, "", "{words:?}: nothing is started");
        assert!(
            output.stderr.contains("Usage: ch02-balance"),
            "{words:?}: {output:?}"
        );
        let first =
            output.stderr.lines().next().expect("what is wrong comes first");
        let named =
            words.iter().any(|word| !word.is_empty() && first.contains(word));
        assert!(named, "{words:?}: {first:?} names none of them");
    }
    let output = program().args(["--port", "70000"]).output();
    assert!(
        output
            .stderr
            .starts_with("--port takes a number from 0 to 65535, not '70000'\n")
    );
}

#[test]
fn help_is_a_result_and_no_error() {
    let output = program().arg("--help").output();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        output.stdout.contains("Usage: ch02-balance") && output.stderr.is_empty()
    );
}

#[test]
fn a_worker_without_a_channel() {
    for words in [&["worker"][..], &["worker", "normal"]] {
        let output = program().args(words).output();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
        assert!(output.stderr.contains("NODE_CHANNEL_FD"), "{output:?}");
    }
    let output = program().arg("worker").env("NODE_CHANNEL_FD", "77").output();
    assert!(
        output.stderr.contains("'77', which is no open Unix stream"),
        "{output:?}"
    );
}

/// A worker and our end of its channel.
fn worker() -> (testkit::Running, Peer) {
    let (worker, stream) = program().args(["worker", "normal"]).channel();
    (worker.start(), Peer::new(stream))
}

#[test]
fn a_worker_survives_what_it_does_not_understand() {
    let (worker, mut peer) = worker();
    for line in [json!("hello"), json!({"cmd": "NODE_NOTHING"}), json!(7)] {
        peer.say(&line);
    }
    common::send_with(peer.0.stream(), b"garbage\n", &[]);
    peer.say(&common::envelope(json!("without its handle")));
    assert_eq!(peer.line(), json!({"cmd": "NODE_HANDLE_NACK"}));
    worker.wait_for_stderr("is not JSON");
    worker.wait_for_stderr("a handle arrived without its descriptor");
    peer.hand_over(json!("socket"), &common::thing().1);
    assert_eq!(peer.line(), json!({"cmd": "NODE_HANDLE_ACK"}));
    drop(peer);
    assert_eq!(
        worker.wait(LONG).code(),
        Some(0),
        "the end of its channel is its end"
    );
}

#[test]
fn a_worker_whose_channel_breaks_says_so_and_ends() {
    let (worker, peer) = worker();
    common::send_with(peer.0.stream(), b"{\"half\":", &[]);
    drop(peer);
    worker.wait(LONG);
    worker.wait_for_stderr("the channel ended in the middle of a line");
}
