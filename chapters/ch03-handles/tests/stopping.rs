//! However the parent dies, even under load: its workers die too, and the port is
//! free.

mod common;

use std::{os::unix::process::ExitStatusExt, time::Duration};

use common::{LONG, program};
use testkit::{
    Program, Signal, assert_all_gone,
    load::{Kind, Load},
    node, node_program,
};

/// The rule: nothing is left after this time.
const SOON: Duration = Duration::from_secs(2);

/// Ends the parent under load. The signal goes to the parent alone, or with `all`
/// to its workers as well.
#[track_caller]
fn end(program: Program, signal: Signal, all: bool) {
    let parent = program.start();
    parent.wait_for_line("every worker has the listener");
    let load =
        Load { addr: parent.addr(), clients: 4, kind: Kind::HttpClose }.start();
    load.wait_for_more(50, LONG);
    let (family, port) = (parent.processes(), parent.port());
    assert_eq!(family.len(), 3, "a parent and two workers");
    parent.signal(signal);
    for process in family.iter().filter(|_| all) {
        process.signal(signal);
    }
    assert_all_gone(&family, Some(port), SOON);
    assert_eq!(parent.wait(LONG).signal(), Some(signal as i32));
    let report = load.stop();
    assert!(report.answered >= 50, "{report}");
}

fn own() -> Program {
    program().args(["--port", "0", "--workers", "2"])
}

#[test]
fn after_sigterm_nothing_is_left() {
    end(own(), Signal::SIGTERM, false);
}

#[test]
fn after_sigint_nothing_is_left() {
    end(own(), Signal::SIGINT, false);
}

#[test]
fn after_ctrl_c_which_reaches_all_of_them_nothing_is_left() {
    end(own(), Signal::SIGINT, true);
}

#[test]
fn after_sigkill_nothing_is_left() {
    end(own(), Signal::SIGKILL, false);
}

#[test]
fn node_workers_without_our_library_exit_too() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/http_worker.js"));
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        end(own().arg("--exec").arg(&node).arg(&script), signal, false);
    }
}

#[test]
fn a_worker_that_never_acknowledges_the_listener_exits_too() {
    let parent = own().args(["--exec", "sleep", "1000"]).start();
    parent.wait_for_lines("started", 2);
    let (family, port) = (parent.processes(), parent.port());
    parent.signal(Signal::SIGTERM);
    assert_all_gone(&family, Some(port), SOON);
}
