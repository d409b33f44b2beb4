//! The worker: a child whose channel is named in its environment.

mod common;

use std::{
    fs::File,
    io::Write,
    net::{Shutdown, TcpListener},
    os::{fd::OwnedFd, unix::net::UnixDatagram, unix::net::UnixStream},
    process::Command,
};

use ch01_fork_ipc::{Channel, MAX_MESSAGE, MAX_VALUES, inherited_channel};
use common::{Got, LONG, got, message, patient, peak_memory, pour, program};
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
fn it_sends_every_message_back_and_exits_at_eof() {
    let (worker, mut channel) = worker();
    for value in [
        json!("héllo 👍\u{0}\n"),
        json!({"a": [1, null]}),
        json!(7),
        json!(null),
        json!({"cmd": "NODE_"}),
    ] {
        channel.send(&value).expect("it reads");
        assert_eq!(message(&mut channel), value);
    }
    drop(channel);
    assert_eq!(worker.wait(LONG).code(), Some(0), "{}", worker.stderr());
}

#[test]
fn an_internal_message_is_not_sent_back() {
    let (_worker, mut channel) = worker();
    channel.send(&json!({"cmd": "NODE_WHATEVER"})).expect("it reads");
    channel.send(&json!(1)).expect("it reads");
    assert_eq!(message(&mut channel), json!(1));
}

#[test]
fn it_reports_garbage_and_goes_on() {
    let (worker, mut channel) = worker();
    channel
        .stream_mut()
        .write_all(b"garbage\n\n\xff\xfe\n[1]\n")
        .expect("it reads");
    assert_eq!(message(&mut channel), json!([1]), "the line after the bad lines");
    let complaints = || worker.stderr().matches("is not JSON").count();
    eventually("a complaint of each bad line", LONG, || complaints() == 3);
    drop(channel);
    assert_eq!(worker.wait(LONG).code(), Some(0));
}

#[test]
fn eof_in_the_middle_of_a_line_is_an_error() {
    let (worker, mut channel) = worker();
    channel.stream_mut().write_all(b"1\n{\"half\":").expect("it reads");
    channel.stream().shutdown(Shutdown::Write).expect("shutdown");
    assert_eq!(message(&mut channel), json!(1));
    assert_eq!(worker.wait(LONG).code(), Some(1));
    worker.wait_for_stderr("the channel ended in the middle of a line");
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let (worker, channel) = worker();
    let mut peak = 0;
    let chunk = vec![b'x'; 1 << 20];
    for _ in 0..256 {
        if pour(channel.stream(), &chunk, 1) == 0 {
            break;
        }
        peak = peak.max(peak_memory(worker.pid()).unwrap_or(0));
    }
    assert_eq!(worker.wait(LONG).code(), Some(1));
    worker.wait_for_stderr("a line on the channel is longer than 16 MiB");
    assert!(
        peak > 0 && peak < 100 << 10,
        "it used {peak} KiB for a line of 16 MiB at most"
    );
}

/// 16 MiB of `{"":0},…` were 1.0 GiB of values, and 16 MiB of `[0],…` 1.4 GiB. Now
/// the line is refused, and the largest that is allowed stays below 256 MiB: 128
/// MiB of values, the line, and what it takes to send it back.
#[test]
fn short_values_do_not_fill_the_memory() {
    let array = |value: &str, count: usize| {
        format!("[{}{value}]\n", format!("{value},").repeat(count - 1))
    };
    // An array of one value takes the most memory for its text, an object the most
    // of all.
    let nested = format!("{}0{}", r#"{"":"#.repeat(100), "}".repeat(100));
    for value in ["[0]", &nested] {
        let (worker, mut channel) = worker();
        let too_many = array(value, MAX_MESSAGE / (value.len() + 1) - 1);
        channel.stream_mut().write_all(too_many.as_bytes()).expect("it reads");
        worker.wait_for_stderr("has more than 262144 values");

        let each = value.matches(['[', '{', ',']).count() + 1;
        let most = array(value, MAX_VALUES / each - 1);
        channel.stream_mut().write_all(most.as_bytes()).expect("it reads");
        let back = channel.recv_line().expect("it is allowed").expect("a line");
        assert_eq!(back, most.trim_end().as_bytes());
        let peak = peak_memory(worker.pid()).expect("it runs");
        println!("{value:.20}: {peak} KiB");
        assert!(peak < 256 << 10, "{peak} KiB for {value:.20}");
    }
}

/// A million bad lines are no million lines in a log.
#[test]
fn garbage_does_not_fill_the_log() {
    let (worker, mut channel) = worker();
    channel.stream_mut().write_all(&b"garbage\n".repeat(10_000)).expect("it reads");
    channel.send(&json!(1)).expect("it reads");
    assert_eq!(message(&mut channel), json!(1));
    drop(channel);
    assert_eq!(worker.wait(LONG).code(), Some(0));
    let complaints = worker.stderr();
    assert!(complaints.lines().count() < 500, "{complaints}");
    assert!(complaints.contains("more like the line above"), "{complaints}");
}

#[test]
fn sixteen_mebibytes_are_sent_back() {
    let (_worker, mut channel) = worker();
    let value = Value::from("x".repeat(MAX_MESSAGE - 2));
    channel.send(&value).expect("it reads");
    assert!(message(&mut channel) == value, "the same 16 MiB");
}

#[test]
fn without_a_channel_it_says_how_it_is_started() {
    assert_complaint(
        program().arg("worker").output(),
        &["NODE_CHANNEL_FD", "without 'worker'"],
    );
    assert_complaint(
        program().args(["worker", "normal"]).output(),
        &["started by its parent"],
    );
    // As in Node: an empty variable is none.
    assert_complaint(
        program().arg("worker").env("NODE_CHANNEL_FD", "").output(),
        &["started by its parent"],
    );
}

#[test]
fn a_number_that_is_no_channel_is_refused() {
    for number in ["x", "-1", "0", "1", "2", "3", "77", "99999999999", "1e1", "3 "]
    {
        let output =
            program().arg("worker").env("NODE_CHANNEL_FD", number).output();
        assert_complaint(
            output,
            &[&format!("NODE_CHANNEL_FD is '{number}'"), "no open Unix"],
        );
    }
}

/// Gives it as standard input to a shell, which makes it number 9 of the worker.
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
    // As in Node: an empty variable is none.
    let (worker, stream) = program().arg("worker").channel();
    let worker = worker.env("NODE_CHANNEL_SERIALIZATION_MODE", "").start();
    drop(stream);
    assert!(worker.wait(LONG).success(), "{}", worker.stderr());
}

/// Nothing but messages goes into a channel, not even a complaint.
#[test]
fn a_complaint_does_not_go_into_a_channel_on_a_standard_stream() {
    for mode in ["json", "advanced"] {
        for number in [0, 1, 2] {
            let (ours, theirs) = UnixStream::pair().expect("a pair");
            patient(&ours);
            let this = env!("CARGO_BIN_EXE_ch01-fork-ipc");
            // Descriptor 1 is a pipe, where the worker reports what it received.
            let place = if number == 0 { "" } else { &format!("{number}>&0 0<&-") };
            let worker = Program::new("bash")
                .args(["-c", &format!("exec '{this}' worker {place}")])
                .stdin(OwnedFd::from(theirs))
                .env("NODE_CHANNEL_FD", number.to_string())
                .env("NODE_CHANNEL_SERIALIZATION_MODE", mode)
                .start();
            let mut channel = Channel::new(ours);
            // A worker that refuses the mode may have exited already.
            let _ = channel.stream_mut().write_all(b"garbage\n[7]\n");
            if mode == "json" {
                assert_eq!(message(&mut channel), json!([7]), "on {number}");
                channel.stream().shutdown(Shutdown::Write).expect("it is open");
            }
            assert_eq!(got(&mut channel), Got::End, "{mode} on {number}");
            let code = if mode == "json" { 0 } else { 1 };
            assert_eq!(worker.wait(LONG).code(), Some(code));
        }
    }
}

/// Not a test, but the child that the next test starts. No other test runs in its process,
/// and the thread of the harness only waits: no other thread reads the environment.
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
fn a_grandchild_does_not_inherit_the_channel() {
    let this = std::env::current_exe().expect("this program");
    let words = [
        "--exact",
        "a_child_with_a_child_of_its_own",
        "--ignored",
        "--test-threads=1",
    ];
    let (child, stream) =
        Program::new(this).args(words).env("NODE_UNIQUE_ID", "1").channel();
    patient(&stream);
    let child = child.start();
    let message = message(&mut Channel::new(stream));
    let environment = message["environment"].as_str().expect("a text");
    assert!(environment.contains("PATH="), "{environment}");
    assert!(
        !environment.contains("NODE_CHANNEL")
            && !environment.contains("NODE_UNIQUE_ID"),
        "left in the environment:\n{environment}"
    );
    // 0, 1, 2 and the directory that ls reads: the channel is close-on-exec.
    assert_eq!(message["open"], 4, "the grandchild has the channel, too");
    assert!(child.wait(LONG).success(), "{}", child.stdout());
}
