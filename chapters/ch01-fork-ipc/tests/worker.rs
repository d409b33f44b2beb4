//! The worker: a child that finds its channel in its environment.

mod common;

use std::{
    fs::File,
    io::Write,
    net::{Shutdown, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixDatagram, unix::net::UnixStream},
    process::Command,
};

use ch01_fork_ipc::{Channel, MAX_MESSAGE, inherited_channel};
use common::{LONG, message, patient, pour, program};
use serde_json::{Value, json};
use testkit::{Program, Running, eventually};

/// A worker, and our end of its channel.
fn worker() -> (Running, Channel<UnixStream>) {
    let (worker, stream) = program().arg("worker").channel();
    patient(&stream);
    (worker.start(), Channel::new(stream))
}

#[track_caller]
fn assert_complaint(output: testkit::Output, parts: &[&str]) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "one clear line: {output:?}");
    for part in parts {
        assert!(output.stderr.contains(part), "{part:?} is missing: {output:?}");
    }
}

#[test]
fn it_sends_every_message_back_and_ends_with_its_channel() {
    let (worker, mut channel) = worker();
    for value in
        [json!("héllo 👍\u{0}\n"), json!({"a": [1, null]}), json!(7), json!(null)]
    {
        channel.send(&value).expect("it is there");
        assert_eq!(message(&mut channel), value);
    }
    drop(channel);
    assert_eq!(worker.wait(LONG).code(), Some(0), "{}", worker.stderr());
}

#[test]
fn what_is_the_transport_s_own_is_not_sent_back() {
    let (_worker, mut channel) = worker();
    channel.send(&json!({"cmd": "NODE_WHATEVER"})).expect("it is there");
    channel.send(&json!(1)).expect("it is there");
    assert_eq!(message(&mut channel), json!(1));
}

#[test]
fn it_survives_garbage_and_says_so() {
    let (worker, mut channel) = worker();
    channel
        .stream_mut()
        .write_all(b"garbage\n\n\xff\xfe\n[1]\n")
        .expect("it is there");
    assert_eq!(message(&mut channel), json!([1]), "the line behind the bad ones");
    let complaints = || worker.stderr().matches("is not JSON").count();
    eventually("a complaint of each bad line", LONG, || complaints() == 3);
    drop(channel);
    assert_eq!(worker.wait(LONG).code(), Some(0));
}

#[test]
fn half_a_line_and_the_end_is_an_error() {
    let (worker, mut channel) = worker();
    channel.stream_mut().write_all(b"1\n{\"half\":").expect("it is there");
    channel.stream().shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(message(&mut channel), json!(1));
    assert_eq!(worker.wait(LONG).code(), Some(1));
    worker.wait_for_stderr("the channel ended in the middle of a line");
}

#[test]
fn a_line_without_end_ends_it_and_not_the_machine_s_memory() {
    let (worker, channel) = worker();
    let most_used = format!("/proc/{}/status", worker.pid());
    let mut peak = 0;
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..256 {
        if pour(channel.stream(), &chunk, 1) == 0 {
            break;
        }
        let status = std::fs::read_to_string(&most_used).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib =
            line.and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok());
        peak = peak.max(kib.unwrap_or(0));
    }
    assert_eq!(worker.wait(LONG).code(), Some(1));
    worker.wait_for_stderr("a line on the channel is longer than 16 MiB");
    assert!(
        peak > 0 && peak < 100 << 10,
        "it used {peak} KiB for a line of 16 MiB at most"
    );
}

#[test]
fn sixteen_mebibytes_go_there_and_back() {
    let (_worker, mut channel) = worker();
    let value = Value::from("x".repeat(MAX_MESSAGE - 2));
    channel.send(&value).expect("it is there");
    assert!(message(&mut channel) == value, "the same 16 MiB");
}

#[test]
fn without_a_channel_it_says_who_has_to_start_it() {
    assert_complaint(
        program().arg("worker").output(),
        &["NODE_CHANNEL_FD", "without 'worker'"],
    );
    assert_complaint(
        program().args(["worker", "normal"]).output(),
        &["started by its parent"],
    );
}

#[test]
fn a_number_that_is_no_channel_is_refused() {
    for number in ["", "x", "-1", "0", "1", "2", "3", "77", "99999999999", "1e1"] {
        let output =
            program().arg("worker").env("NODE_CHANNEL_FD", number).output();
        assert_complaint(
            output,
            &[&format!("NODE_CHANNEL_FD is '{number}'"), "no open Unix"],
        );
    }
}

/// As standard input, which a shell then moves to number 9.
fn complaint_about(thing: impl Into<OwnedFd>) -> testkit::Output {
    let this = env!("CARGO_BIN_EXE_ch01-fork-ipc");
    let script = format!("exec 9<&0 '{this}' worker");
    Program::new("bash")
        .args(["-c", &script])
        .stdin(thing.into())
        .env("NODE_CHANNEL_FD", "9")
        .env_remove("NODE_CHANNEL_SERIALIZATION_MODE")
        .output()
}

#[test]
fn a_descriptor_of_another_kind_is_refused() {
    let tcp = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let datagram = UnixDatagram::pair().expect("two sockets").0;
    let file = File::open("/dev/null").expect("a file");
    let (pipe, _writer) = nix::unistd::pipe().expect("a pipe");
    for (what, output) in [
        ("a file", complaint_about(file)),
        ("a pipe", complaint_about(pipe)),
        ("a TCP socket", complaint_about(tcp)),
        ("Unix, but no stream", complaint_about(datagram)),
    ] {
        println!("{what}");
        assert_complaint(
            output,
            &["NODE_CHANNEL_FD is '9', which is no open Unix stream socket"],
        );
    }
}

#[test]
fn another_serialization_is_refused() {
    let (worker, _channel) = program().arg("worker").channel();
    let output = worker.env("NODE_CHANNEL_SERIALIZATION_MODE", "advanced").output();
    assert_complaint(output, &["'advanced'", "only json"]);
}

/// Not a test: the child that the next one starts. It runs as the only test of its process and,
/// with one test at a time, on that process's first thread: so nobody else reads the environment.
#[test]
#[ignore = "the test below runs it"]
fn a_child_with_a_child_of_its_own() {
    // SAFETY: see above; and the descriptor in NODE_CHANNEL_FD is ours alone.
    let stream = unsafe { inherited_channel() }.expect("a channel");
    let output = Command::new("env").output().expect("env runs");
    let environment = String::from_utf8_lossy(&output.stdout).into_owned();
    let open = Command::new("ls").arg("/proc/self/fd").output().expect("ls runs");
    let open = String::from_utf8_lossy(&open.stdout).lines().count();
    let mut channel = Channel::new(stream);
    channel
        .send(&json!({"environment": environment, "open": open}))
        .expect("it is sent");
}

#[test]
fn a_grandchild_hears_nothing_of_the_channel() {
    let this = std::env::current_exe().expect("this program");
    let words = [
        "--exact",
        "a_child_with_a_child_of_its_own",
        "--ignored",
        "--test-threads=1",
    ];
    let (child, stream) = Program::new(this).args(words).channel();
    patient(&stream);
    let child = child.start();
    let message = message(&mut Channel::new(stream));
    let environment = message["environment"].as_str().expect("a text");
    assert!(environment.contains("PATH="), "{environment}");
    assert!(
        !environment.contains("NODE_CHANNEL"),
        "left in the environment:\n{environment}"
    );
    // 0, 1, 2 and the directory that ls reads: the channel is close-on-exec.
    assert_eq!(message["open"], 4, "the channel went through the next exec");
    assert!(child.wait(LONG).success(), "{}", child.stdout());
}
