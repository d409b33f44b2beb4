//! A child: how it is started, what it inherits, how it exits.

mod common;

use std::{
    io::{ErrorKind, Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use ch01_fork_ipc::{Channel, Child, ExitStatus};
use common::{LONG, message, patient};
use nix::{errno::Errno, sys::signal::Signal, unistd};
use serde_json::json;
use testkit::{eventually, fds, temp_dir, try_eventually, zombies_of};

/// Killed and reaped at the end of the test, even if it panics.
struct Guarded(Child);

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.0.kill(Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

fn spawn(program: &str, arguments: &[&str]) -> (Guarded, UnixStream) {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let (child, stream) = Child::spawn(command).expect("it starts");
    patient(&stream);
    (Guarded(child), stream)
}

fn printed(child: &mut Guarded) -> String {
    let mut text = String::new();
    let stdout = child.0.stdout.as_mut().expect("it was piped");
    stdout.read_to_string(&mut text).expect("UTF-8");
    text
}

#[test]
fn it_exits_by_itself_with_a_code() {
    for code in [0, 1, 7, 255] {
        let (mut child, _stream) = spawn("sh", &["-c", &format!("exit {code}")]);
        assert_eq!(child.0.wait().expect("it is ours"), ExitStatus::Exited(code));
        assert_eq!(
            child.0.wait().expect("the status is kept"),
            ExitStatus::Exited(code),
            "once more"
        );
    }
    assert_eq!(ExitStatus::Exited(7).to_string(), "exited with code 7");
}

#[test]
fn a_signal_kills_it() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGUSR1] {
        let (mut child, _stream) = spawn("sleep", &["1000"]);
        assert_eq!(child.0.try_wait().expect("it is ours"), None, "it runs");
        child.0.kill(signal).expect("it is ours");
        assert_eq!(
            child.0.wait().expect("it is ours"),
            ExitStatus::Signaled(signal)
        );
    }
    assert_eq!(
        ExitStatus::Signaled(Signal::SIGTERM).to_string(),
        "was killed by SIGTERM"
    );
}

/// A program that handles the signal exits by itself: a code, no signal.
#[test]
fn a_signal_that_it_handles_does_not_kill_it() {
    let (mut child, mut stream) = spawn(
        "bash",
        &[
            "-c",
            "trap 'exit 1' TERM; eval \"echo 7 >&$NODE_CHANNEL_FD; read line <&$NODE_CHANNEL_FD\"",
        ],
    );
    assert_eq!(
        message(&mut Channel::new(&mut stream)),
        json!(7),
        "the trap is set"
    );
    child.0.kill(Signal::SIGTERM).expect("it is ours");
    assert_eq!(child.0.wait().expect("it is ours"), ExitStatus::Exited(1));
}

#[test]
fn try_wait_does_not_block_and_leaves_no_zombie() {
    let (mut child, stream) = spawn("cat", &["/dev/fd/0"]);
    eventually("cat reads /dev/null and exits", LONG, || {
        child.0.try_wait().expect("it is ours").is_some()
    });
    assert_eq!(
        child.0.try_wait().expect("the status is kept"),
        Some(ExitStatus::Exited(0))
    );
    let pid = child.0.pid().as_raw();
    assert!(
        !zombies_of(std::process::id() as i32)
            .iter()
            .any(|zombie| zombie.pid == pid)
    );
    drop(stream);
}

/// Its number may be another process's by then.
#[test]
fn a_reaped_child_cannot_be_killed() {
    let (mut child, _stream) = spawn("true", &[]);
    child.0.wait().expect("it is ours");
    let refused = child.0.kill(Signal::SIGKILL).expect_err("it is reaped");
    assert_eq!(refused.raw_os_error(), Some(Errno::ESRCH as i32));
}

/// Node throws the last two, and emits the others as an `error` event.
#[test]
fn a_program_that_cannot_be_started_is_an_error_of_spawn() {
    let spawn =
        |command| Child::spawn(command).expect_err("it cannot start").kind();
    let why = |path: &Path| spawn(Command::new(path));
    let dir = temp_dir();
    let file = dir.write("not-executable", "#!/bin/sh\n");
    assert_eq!(why(Path::new("/no/such/program")), ErrorKind::NotFound);
    assert_eq!(why(&file), ErrorKind::PermissionDenied);
    assert_eq!(why(dir.path()), ErrorKind::PermissionDenied);
    assert_eq!(why(&file.join("below-a-file")), ErrorKind::NotADirectory);

    let mut too_long = Command::new("true");
    too_long.arg("x".repeat(8 << 20));
    assert_eq!(spawn(too_long), ErrorKind::ArgumentListTooLong);
    let mut no_such_place = Command::new("true");
    no_such_place.current_dir("/no/such/place");
    assert_eq!(spawn(no_such_place), ErrorKind::NotFound);
    eventually("std reaps a child whose exec fails", LONG, || {
        zombies_of(std::process::id() as i32).is_empty()
    });
}

/// Real-time signals have only numbers, and nix's waitpid does not know them. Node
/// reports `exit(0, null)` for these.
#[test]
fn a_real_time_signal_kills_it() {
    let (mut child, _stream) = spawn("bash", &["-c", "kill -35 $$"]);
    let status = child.0.wait().expect("it is ours");
    assert_eq!(status, ExitStatus::RealTime(35));
    assert_eq!(status.signal().as_deref(), Some("SIG35"));
    assert_eq!(status.to_string(), "was killed by signal 35");
    assert_eq!(child.0.wait().expect("the status is kept"), status);
}

/// prctl(2): the signal comes at the exit of the *thread* that made the child.
#[test]
fn it_is_killed_when_the_thread_that_spawned_it_exits() {
    let spawned = thread::spawn(|| spawn("sleep", &["1000"]));
    let (mut child, _stream) = spawned.join().expect("it starts");
    let status = child.0.wait().expect("it is ours");
    assert_eq!(status, ExitStatus::Signaled(Signal::SIGKILL));

    let (mut lasts, _stream) = spawn("sleep", &["1000"]);
    thread::spawn(|| {}).join().expect("another thread");
    assert_eq!(lasts.0.try_wait().expect("it is ours"), None);
}

#[test]
fn it_inherits_the_standard_streams_its_channel_and_nothing_else() {
    // What this process could have inherited: open, and not close-on-exec.
    let (reader, writer) = unistd::pipe().expect("a pipe");
    let (other, _other_end) = UnixStream::pair().expect("a sibling's channel");
    let stray = unistd::dup(&other).expect("a copy without close-on-exec");

    let (child, _stream) = spawn("sleep", &["1000"]);
    let pid = child.0.pid().as_raw();
    // While it starts, the dynamic loader has a library open.
    try_eventually(LONG, || (fds(pid).len() == 4).then_some(()));
    let open = fds(pid);
    let numbers: Vec<i32> = open.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers.len(), 4, "0, 1, 2 and the channel, but it holds {open:?}");
    assert_eq!(numbers[..3], [0, 1, 2], "{open:?}");
    assert!(open[3].1.starts_with("socket:"), "{open:?}");
    let strays = [reader.as_raw_fd(), writer.as_raw_fd(), stray.as_raw_fd()];
    let here = fds(std::process::id() as i32);
    let named =
        |number: i32| here.iter().find(|(n, _)| *n == number).map(|(_, name)| name);
    for number in strays {
        let name = named(number).expect("it is open here");
        assert!(
            !open.iter().any(|(_, theirs)| theirs == name),
            "{name} was inherited: {open:?}"
        );
    }
}

/// Neither child may hold the other's channel, or the other never reads EOF.
#[test]
fn eof_arrives_although_there_is_a_sibling() {
    let script = "eval \"cat <&$NODE_CHANNEL_FD\"";
    let (mut first, to_first) = spawn("bash", &["-c", script]);
    let (_second, _to_second) = spawn("bash", &["-c", script]);
    drop(to_first);
    eventually("the first child reads EOF", LONG, || {
        first.0.try_wait().expect("it is ours").is_some()
    });
}

#[test]
fn node_s_two_variables_name_the_channel() {
    let (mut child, stream) = spawn(
        "bash",
        &[
            "-c",
            "echo \"$NODE_CHANNEL_SERIALIZATION_MODE\"; readlink /proc/$$/fd/$NODE_CHANNEL_FD; \
             eval \"echo '{}' >&$NODE_CHANNEL_FD\"",
        ],
    );
    let text = printed(&mut child);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "json");
    assert!(lines[1].starts_with("socket:"), "{text}");
    assert_eq!(
        message(&mut Channel::new(stream)),
        json!({}),
        "and it is this very channel"
    );
}

#[test]
fn when_it_exits_its_channel_ends() {
    let (mut child, mut stream) =
        spawn("bash", &["-c", "eval \"echo 1 >&$NODE_CHANNEL_FD\""]);
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .expect("to the end: no other process holds that end");
    assert_eq!(text, "1\n");
    assert_eq!(child.0.wait().expect("it is ours"), ExitStatus::Exited(0));
    assert_eq!(
        stream.write(b"1\n").expect_err("the other end is closed").kind(),
        ErrorKind::BrokenPipe
    );
}
