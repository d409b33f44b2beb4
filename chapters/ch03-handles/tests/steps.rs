//! The steps of the chapter, each a program of its own.

mod common;

use std::{collections::HashSet, net::TcpStream, time::Duration};

use common::{LONG, step_on, tcp_listener};
use testkit::{
    Running, Signal, assert_all_gone, eventually, http, pid_in, zombies_of,
};

const STEPS: [&str; 2] = ["shared_listener", "send_listener"];

#[track_caller]
fn start(name: &str) -> Running {
    let parent = step_on(name, "127.0.0.1:0").start();
    parent.addr();
    eventually("two children", LONG, || parent.children().len() == 2);
    parent
}

/// The pid of the child that answers.
#[track_caller]
fn ask(parent: &Running) -> i32 {
    let response = http::get(parent.addr()).expect("an answer");
    pid_in(&response.body).expect("a pid")
}

#[test]
fn both_children_answer() {
    for name in STEPS {
        let parent = start(name);
        let children = parent.children().into_iter().map(|child| child.pid);
        let children: HashSet<i32> = children.collect();
        let mut seen = HashSet::new();
        eventually("an answer from each child", LONG, || {
            seen.insert(ask(&parent));
            seen.len() == 2
        });
        assert_eq!(seen, children, "{name}: the parent does not answer");
    }
}

#[test]
fn a_client_that_disconnects_ends_no_child() {
    for name in STEPS {
        let parent = start(name);
        for _ in 0..20 {
            drop(TcpStream::connect(parent.addr()).expect("connected"));
        }
        ask(&parent);
        assert_eq!(parent.children().len(), 2, "{name}");
    }
}

#[test]
fn a_child_that_is_killed_is_reaped_and_the_other_answers() {
    for name in STEPS {
        let parent = start(name);
        let children = parent.children();
        children[0].signal(Signal::SIGKILL);
        parent
            .wait_for_line(&format!("Signaled(Pid({}), SIGKILL", children[0].pid));
        assert_eq!(zombies_of(parent.pid()), [], "{name}");
        assert_eq!(ask(&parent), children[1].pid, "{name}");
        children[1].signal(Signal::SIGKILL);
        assert!(parent.wait(LONG).success(), "{name}: no child is left");
    }
}

#[test]
fn however_the_parent_dies_nothing_is_left() {
    for name in STEPS {
        for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
            let parent = start(name);
            ask(&parent);
            let (all, port) = (parent.processes(), parent.port());
            parent.signal(signal);
            assert_all_gone(&all, Some(port), Duration::from_secs(2));
        }
    }
}

#[test]
fn a_port_that_is_taken_is_an_error_and_nothing_is_left() {
    let taken = tcp_listener();
    let address = taken.local_addr().expect("an address").to_string();
    for name in STEPS {
        let program = step_on(name, &address).start();
        assert_eq!(program.wait(LONG).code(), Some(1), "{name}");
        assert!(program.stderr().contains("in use"), "{}", program.stderr());
        assert_all_gone(&program.processes(), None, Duration::from_secs(2));
    }
}
