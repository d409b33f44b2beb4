//! What the tests of this chapter share: the program, and what it prints with
//! pids masked.

#![allow(dead_code)] // Each test program uses its part of this.

pub mod events;

use std::{ffi::OsStr, os::fd::OwnedFd, time::Duration};

use testkit::{Output, Program, zombies_of};

/// Longer than anything here takes, even on a busy machine.
pub const LONG: Duration = Duration::from_secs(15);

/// In bash: the channel's number, and a function that sends a line.
const WORDS: &str = "fd=$NODE_CHANNEL_FD; say() { printf '%s\\n' \"$1\" >&$fd; };";

pub const SPAWN: &str = r#"{"event":"spawn","pid":PID}"#;
pub const DISCONNECT: &str = r#"{"event":"disconnect"}"#;

/// This chapter's program.
pub fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch04-events"))
}

/// `watch`, with its flags, and the program that it watches.
pub fn watch(
    flags: &[&str],
    program: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Program {
    self::program().arg("watch").args(flags).arg("--").args(program)
}

/// A child in bash, which knows its channel as `$fd` and sends with `say JSON`.
pub fn bash(script: &str) -> [String; 3] {
    ["bash".to_owned(), "-c".to_owned(), format!("{WORDS} {script}")]
}

/// The message line of `json`.
pub fn message(json: &str) -> String {
    format!(r#"{{"event":"message","message":{json}}}"#)
}

/// The last two events of a child that exits by itself.
pub fn exited(code: i32) -> [String; 2] {
    ["exit", "close"]
        .map(|it| format!(r#"{{"event":"{it}","code":{code},"signal":null}}"#))
}

/// The last two events of a child that a signal kills.
pub fn killed(signal: &str) -> [String; 2] {
    ["exit", "close"]
        .map(|it| format!(r#"{{"event":"{it}","code":null,"signal":"{signal}"}}"#))
}

/// Lines with every number after a `pid` replaced by `PID`.
pub fn masked(text: &str) -> Vec<String> {
    text.lines().map(mask).collect()
}

fn mask(line: &str) -> String {
    for mark in ["\"pid\":", "pid "] {
        if let Some(at) = line.find(mark).map(|at| at + mark.len()) {
            let rest = line[at..].trim_start_matches(|c: char| c.is_ascii_digit());
            if rest.len() < line.len() - at {
                return format!("{}PID{rest}", &line[..at]);
            }
        }
    }
    line.to_owned()
}

/// The events of a watched child, exactly as they were printed,
/// but for the pid.
#[track_caller]
pub fn assert_events<S: AsRef<str>>(
    output: &Output,
    expected: impl IntoIterator<Item = S>,
) {
    let expected: Vec<String> =
        expected.into_iter().map(|it| it.as_ref().to_owned()).collect();
    assert_eq!(masked(&output.stdout), expected, "stderr: {}", output.stderr);
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
}

/// A pipe that no other program inherits: tests in parallel start some at any
/// moment.
pub fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).expect("a pipe")
}

/// Children that exit while a grandchild of theirs runs on, and reads standard
/// input up to its end.
pub const LEAVES_ITS_OUTPUT: &str = "eval \"exec $fd>&-\"; cat <&0 & exit 5";
pub const LEAVES_THE_CHANNEL: &str = "cat <&0 > /dev/null 2>&1 & exit 5";

/// The events of such a child. Its grandchild exits only after `exit` was reported.
#[track_caller]
pub fn events_with_a_grandchild(program: Program) -> Vec<String> {
    let (reader, writer) = pipe();
    let running = program.stdin(reader).start();
    running.wait_for_line("\"exit\"");
    assert!(
        !running.stdout().contains("\"close\""),
        "a grandchild still holds something"
    );
    assert_eq!(
        zombies_of(running.pid()),
        [],
        "the child must be waited for at once"
    );
    drop(writer);
    assert!(running.wait(LONG).success(), "{}", running.stderr());
    // Their order differs.
    for last in ["close", "disconnect"] {
        running.wait_for_line(last);
    }
    masked(&running.stdout())
}
