//! The steps of the chapter, each a program of its own.

mod common;

use std::{env, time::Duration};

use common::LONG;
use testkit::{Program, Signal, assert_all_gone, eventually};

/// `cargo test` builds the examples beside the tests.
fn step(name: &str) -> Program {
    let own = env::current_exe().expect("a path");
    let target = own.ancestors().nth(2).expect("target/debug/deps/steps-…");
    let path = target.join("examples").join(name);
    assert!(path.exists(), "no {path:?}: cargo build -p ch04-events --examples");
    Program::new(path)
}

#[track_caller]
fn lines(name: &str) -> Vec<String> {
    let output = step(name).output();
    assert!(output.status.success(), "{}", output.stderr);
    output.stdout.lines().map(str::to_owned).collect()
}

/// The first child takes two seconds. Only then does its parent ask for the others.
#[test]
fn exit_status_waits_for_one_child_after_another() {
    let lines = lines("exit_status");
    let ends =
        ["code 7, signal null", "signal SIGTERM", "code 1, ", "signal SIGKILL"];
    assert_eq!(lines.len(), 4);
    for (line, end) in lines.iter().zip(ends) {
        assert!(line.contains(end), "{line}");
        assert!(!line.starts_with("0 s") && !line.starts_with("1 s"), "{line}");
    }
}

#[test]
fn a_signal_before_the_call_interrupts_nothing() {
    let lines = lines("interrupted");
    let expected = [("1 s", "Err(EINTR)"), ("1 s", "Ok(6)"), ("0 s", "Ok(6)")];
    assert_eq!(lines.len(), 6);
    for (pair, (exit, result)) in lines.chunks(2).zip(expected) {
        assert!(pair[0].starts_with(&format!("exit after {exit}")), "{pair:?}");
        assert!(pair[1].contains(&format!("returned {result} after")), "{pair:?}");
    }
    assert!(
        lines[5].ends_with("2 s"),
        "the signal did not interrupt read: {lines:?}"
    );
}

#[test]
fn self_pipe_reports_every_child_and_the_output() {
    let lines = lines("self_pipe");
    assert_eq!(lines.len(), 5, "{lines:?}");
    assert!(
        lines[0].ends_with(", 0)"),
        "the signal before the first poll: {lines:?}"
    );
    assert_eq!(lines[1], "it printed: hello");
    assert!(lines[2].ends_with(", 7)"), "{lines:?}");
    assert!(lines[3].ends_with(", 0)") && lines[4].ends_with(", 0)"), "{lines:?}");
}

#[test]
fn a_step_that_is_killed_leaves_nothing() {
    for name in ["exit_status", "interrupted", "self_pipe"] {
        let running = step(name).start();
        eventually("a child", LONG, || !running.children().is_empty());
        let processes = running.processes();
        running.signal(Signal::SIGKILL);
        assert_all_gone(&processes, None, Duration::from_secs(5));
    }
}
