//! A Node parent and a Rust child: they use the same protocol.

mod common;

use common::LONG;
use testkit::{Program, node, node_program};

/// Runs a Node parent whose child is this chapter's worker; it must exit with 0,
/// and print `last_word` last.
#[track_caller]
fn parent(script: &str, last_word: &str) -> String {
    let Some(node) = node() else { return String::new() };
    let script =
        node_program(&(include_str!("node/parent.js").to_owned() + script));
    let program =
        Program::new(node).arg(&script).arg(env!("CARGO_BIN_EXE_ch03-handles"));
    let output = program.limit(LONG * 2).output();
    assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
    assert_eq!(output.stdout.lines().last(), Some(last_word), "{}", output.stderr);
    assert_eq!(output.stderr, "", "no complaint");
    output.stdout
}

#[test]
fn a_worker_serves_the_listener_of_a_node_parent() {
    parent(include_str!("node/parent_listener.js"), "50 requests answered");
}

#[test]
fn a_worker_uses_every_type_of_handle_that_node_sends() {
    let printed = parent(include_str!("node/parent_handles.js"), "8 handles");
    assert!(printed.is_empty() || printed.lines().count() == 9, "{printed}");
}

#[test]
fn a_pipe_that_node_sends_as_a_socket_is_a_bare_handle() {
    let printed = parent(include_str!("node/parent_pipe.js"), "a pipe");
    let through = "speaks through a pipe";
    assert!(printed.is_empty() || printed.contains(through), "{printed}");
}

#[test]
fn a_thousand_messages_and_handles_arrive_in_order() {
    parent(include_str!("node/parent_order.js"), "1000 in order");
}

#[test]
fn messages_arrive_as_they_were() {
    parent(include_str!("node/parent_messages.js"), "whole");
}
