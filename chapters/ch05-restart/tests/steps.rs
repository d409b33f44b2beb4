//! The steps: each loses or keeps waiting what its page says, and the next one does
//! not.

mod common;

use std::env;
use std::net::TcpListener;
use std::thread::sleep;
use std::time::Duration;

use common::{GET, HALF, SOON, connected, load};
use testkit::{Program, Running, Signal, assert_all_gone, eventually, fds, http};

const STEPS: [&str; 3] = ["restart_on_exit", "drain", "replace_first"];

/// `cargo test` builds the examples beside the tests.
fn program(name: &str) -> Program {
    let own = env::current_exe().expect("a path");
    let target = own.ancestors().nth(2).expect("target/debug/deps/steps-…");
    let path = target.join("examples").join(name);
    assert!(
        path.exists(),
        "no {path:?}: run cargo build -p ch05-restart --examples"
    );
    Program::new(path)
}

/// Runs a step on a free port.
fn step(name: &str) -> Running {
    let step = program(name).arg("127.0.0.1:0").start();
    step.addr();
    eventually("two workers", SOON, || step.children().len() == 2);
    step
}

#[test]
fn restart_on_exit_loses_requests_and_drain_loses_none() {
    let loses = load(&step("restart_on_exit"), 10).run_total(200);
    assert!(loses.lost_count > 0, "{loses}");
    for name in ["drain", "replace_first"] {
        load(&step(name), 10).run_total(200).assert_none_lost();
    }
}

/// Slow clients on both workers: `drain` has no worker left, `replace_first` has
/// new ones.
#[test]
fn only_replace_first_serves_while_slow_clients_hold_the_old_workers() {
    for (name, serves) in [("drain", false), ("replace_first", true)] {
        let step = step(name);
        let open =
            || step.children().into_iter().map(|it| (it.pid, fds(it.pid).len()));
        let before: Vec<_> = open().collect();
        let mut slow = Vec::new();
        eventually("each worker has a slow client", SOON, || {
            slow.push(connected(&step, HALF[0]));
            sleep(Duration::from_millis(20));
            open().zip(&before).all(|(now, before)| now.1 > before.1)
        });
        for _ in 0..2 {
            http::get(step.addr()).expect("a response, and then a crash");
        }
        let waiting = connected(&step, GET);
        let limit = Some(Duration::from_secs(1));
        waiting.stream().set_read_timeout(limit).expect("to set");
        assert_eq!(waiting.stream().peek(&mut [0]).is_ok(), serves, "{name}");
    }
}

#[test]
fn no_worker_of_a_step_outlives_its_parent() {
    for name in STEPS {
        for end in [Signal::SIGKILL, Signal::SIGTERM] {
            let step = step(name);
            let (family, port) = (step.processes(), step.port());
            let _slow = connected(&step, HALF[0]);
            step.signal(end);
            assert_all_gone(&family, Some(port), Duration::from_secs(2));
        }
    }
}

#[test]
fn a_step_says_that_its_address_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = taken.local_addr().expect("its address").to_string();
    for name in STEPS {
        let output = program(name).arg(&addr).output();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
    }
}
