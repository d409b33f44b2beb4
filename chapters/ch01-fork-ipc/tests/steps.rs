//! The steps (`examples/`): each does what the book says of it, and leaves nothing
//! behind.

mod common;

use std::{env, path::PathBuf, time::Duration};

use common::LONG;
use testkit::{Output, Program, Signal, assert_all_gone, node, node_program};

/// `cargo test` builds the examples beside the tests.
fn step(name: &str) -> Program {
    let mut path: PathBuf = env::current_exe().expect("this test's file");
    path.pop();
    path.pop();
    path.extend(["examples", name]);
    assert!(
        path.is_file(),
        "no {path:?}: run cargo build -p ch01-fork-ipc --examples"
    );
    Program::new(path).env_remove("NODE_CHANNEL_FD")
}

#[track_caller]
fn lines(output: &Output) -> Vec<&str> {
    assert_eq!(output.stderr, "", "{output:?}");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    output.stdout.lines().collect()
}

#[test]
fn fork_copies_the_count_and_gives_back_an_exit_code() {
    let output = step("fork").output();
    let lines = lines(&output);
    assert!(lines[0].starts_with("parent ") && lines[0].ends_with("count is 1"));
    assert!(lines[1].starts_with("child ") && lines[1].ends_with("count is 2"));
    assert!(lines[2].starts_with("parent ") && lines[2].ends_with(", 7)"));
    assert!(lines[3].starts_with("parent ") && lines[3].ends_with("count is 1"));
}

#[test]
fn socketpair_delivers_two_messages_as_one() {
    let output = step("socketpair").output();
    let lines = lines(&output);
    assert_eq!(lines[0], r#"child read "first messagesecond message""#);
    assert!(lines[1].starts_with("Exited(") && lines[1].ends_with(", 0)"));
}

#[test]
fn exec_delivers_two_messages_to_its_own_program_and_to_node() {
    let output = step("exec").output();
    let lines = lines(&output);
    for (line, n) in lines.iter().zip([1, 2]) {
        assert!(line.contains(&format!(r#""echo":{{"n":{n}}}"#)), "{output:?}");
    }
    assert!(lines[2].starts_with("Exited(") && lines[2].ends_with(", 0)"));

    let Some(node) = node() else { return };
    let child = node_program("process.on('message', (it) => process.send(it));");
    let output = step("exec").arg(node).arg(&child).output();
    assert_eq!(
        output.stdout.matches(": received {\"n\":").count(),
        2,
        "{output:?}"
    );
}

/// What the book shows failing, and the library repairs.
#[test]
fn exec_does_not_tell_the_parent_why_it_failed() {
    let output = step("exec").arg("/no/such/program").output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines: Vec<&str> = output.stderr.lines().collect();
    assert!(
        lines[0].contains("No such file or directory"),
        "the child: {output:?}"
    );
    assert!(!lines[1].contains("No such file"), "the parent: {output:?}");
}

#[test]
fn exec_leaves_no_child_behind() {
    for signal in [Signal::SIGKILL, Signal::SIGINT, Signal::SIGTERM] {
        let running = step("exec").args(["sleep", "1000"]).start();
        let asleep = || {
            let children = running.children();
            children.iter().any(|child| child.command_line() == "sleep 1000")
        };
        testkit::eventually("the child runs sleep", LONG, asleep);
        let family = running.processes();
        running.signal(signal);
        running.wait(LONG);
        assert_all_gone(&family, None, Duration::from_secs(2));
    }
}
