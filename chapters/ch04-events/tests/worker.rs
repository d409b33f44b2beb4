//! The worker: a child that sends every message back.

mod common;

use std::io::{BufRead, BufReader, Write};

use common::{LONG, program};
use testkit::{Program, Signal, node, node_program};

#[test]
fn under_a_node_parent_everything_comes_back() {
    let Some(node) = node() else { return };
    let harness =
        include_str!("../../ch03-handles/tests/node/parent.js").to_owned();
    let script = node_program(&(harness + include_str!("node/parent_echo.js")));
    let output = Program::new(node)
        .arg(&script)
        .arg(env!("CARGO_BIN_EXE_ch04-events"))
        .output();
    assert!(output.status.success(), "{}", output.stderr);
    assert_eq!((&*output.stdout, &*output.stderr), ("all came back\n", ""));
}

#[test]
fn garbage_is_complained_of_and_the_next_message_comes_back() {
    let (program, channel) = program().args(["worker", "no-such-name"]).channel();
    let worker = program.start();
    channel.set_read_timeout(Some(LONG)).expect("a time-out");
    (&channel)
        .write_all(b"garbage\n{\"cmd\":\"NODE_x\"}\n{\"b\":1,\"a\":2}\n")
        .expect("written");
    let mut line = String::new();
    BufReader::new(&channel).read_line(&mut line).expect("an answer");
    assert_eq!(line, "{\"b\":1,\"a\":2}\n", "the fields keep their order");
    worker.wait_for_stderr("a line on the channel is not JSON");
    drop(channel);
    assert!(worker.wait(LONG).success());
}

#[test]
fn half_a_line_and_the_end_is_a_failure() {
    let (program, channel) = program().arg("worker").channel();
    let worker = program.start();
    (&channel).write_all(b"{\"half\":").expect("written");
    drop(channel);
    assert_eq!(worker.wait(LONG).code(), Some(1));
    worker.wait_for_stderr("the channel ended in the middle of a line");
}

#[test]
fn a_worker_that_traps_sigterm_ends_with_one() {
    let (program, channel) = program().args(["worker", "traps-sigterm"]).channel();
    let worker = program.start();
    channel.set_read_timeout(Some(LONG)).expect("a time-out");
    let mut line = String::new();
    BufReader::new(&channel).read_line(&mut line).expect("a word");
    assert_eq!(line, "\"ready\"\n");
    worker.signal(Signal::SIGTERM);
    assert_eq!(worker.wait(LONG).code(), Some(1));
}
