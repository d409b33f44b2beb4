//! Finding node, or saying that there is none.

mod common;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use testkit::{Output, Program, free_port, node, node_program, temp_dir};

#[test]
fn a_script_runs_and_is_removed() {
    let script = node_program("console.log('pid is', process.pid)");
    let path = script.path().to_owned();
    let readable = |path: &Path| {
        path.metadata().expect("it is there").permissions().mode() & 0o4
    };
    assert_eq!(
        (readable(&path), readable(path.parent().expect("its directory"))),
        (4, 4)
    );
    if let Some(node) = node() {
        let output = Program::new(node).arg(&script).output();
        assert!(testkit::pid_in(&output.stdout).is_some(), "{output:?}");
    }
    drop(script);
    assert!(!path.exists() && !path.parent().expect("its directory").exists());
}

/// Not a test: the next tests run it without node in `PATH`.
#[test]
#[ignore = "the tests below run it"]
fn finder() {
    assert_eq!(node(), None);
}

fn find_without(set: impl FnOnce(Program) -> Program) -> Output {
    let empty = temp_dir();
    let this = std::env::current_exe().expect("this program");
    let program = Program::new(this).args(["--exact", "finder", "--ignored"]);
    set(program.env("PATH", empty.path())).output()
}

#[test]
fn without_node_the_test_passes_and_says_that_it_was_skipped() {
    let output = find_without(|program| program.env_remove("REQUIRE_NODE"));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stderr, "skipped: no node found in PATH\n");
}

#[test]
fn without_node_the_test_fails_if_node_is_required() {
    let output = find_without(|program| program.env("REQUIRE_NODE", "1"));
    let text = "node is required here (REQUIRE_NODE) but not found in PATH";
    assert!(!output.status.success() && output.stdout.contains(text), "{output:?}");
}

#[test]
fn each_directory_is_a_new_one_and_the_port_is_free() {
    let (first, second) = (temp_dir(), temp_dir());
    assert_ne!(first.path(), second.path());
    std::net::TcpListener::bind(("127.0.0.1", free_port())).expect("it is free");
}
