//! The parent sends its listener to its workers, and the workers serve.

mod common;

use std::{collections::HashSet, fs, time::Duration};

use common::{LONG, program};
use testkit::{
    Process, Program, Running, Signal, assert_all_gone, eventually, fds, http,
    load::{Kind, Load},
    node, node_program, pid_in, zombies_of,
};

const ALL_READY: &str =
    "every worker has the listener; the parent has closed its own";

/// Starts a server of `workers`, and waits until the parent has closed its listener.
fn serve(program: Program, workers: usize) -> (Running, Vec<Process>) {
    let parent = program.start();
    parent.wait_for_line(ALL_READY);
    let children = parent.children();
    assert_eq!(children.len(), workers, "{}", parent.stdout());
    (parent, children)
}

fn own(workers: usize) -> (Running, Vec<Process>) {
    serve(
        program().args(["--port", "0", "--workers", &workers.to_string()]),
        workers,
    )
}

/// Asks until every one of `workers` has answered, and no other process.
#[track_caller]
fn assert_all_answer(parent: &Running, workers: &[Process]) {
    let expected: HashSet<i32> = workers.iter().map(|worker| worker.pid).collect();
    let mut seen = HashSet::new();
    let load = Load { addr: parent.addr(), clients: 8, kind: Kind::HttpClose };
    eventually("an answer from every worker", LONG, || {
        let report = load.run_total(40);
        report.assert_none_lost();
        seen.extend(report.by_pid.into_keys());
        seen.len() >= expected.len()
    });
    assert_eq!(seen, expected, "only workers answer");
}

/// The sockets that a process holds, as `/proc` names them.
fn sockets(pid: i32) -> HashSet<String> {
    fds(pid)
        .into_iter()
        .map(|(_, what)| what)
        .filter(|it| it.starts_with("socket:"))
        .collect()
}

/// The listener's name in `/proc`: proc_net(5) has it as the tenth field, 0A is
/// LISTEN.
fn listener_on(port: u16) -> String {
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux");
    let local = format!(":{port:04X}");
    let mut lines =
        table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|line| line[1].ends_with(&local) && line[3] == "0A");
    format!("socket:[{}]", line.expect("a listener")[9])
}

#[test]
fn every_worker_answers() {
    let (parent, workers) = own(3);
    assert_all_answer(&parent, &workers);
    let answer = http::get(parent.addr()).expect("an answer");
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/plain"))
    );
    let pid = pid_in(&answer.body).expect("a pid");
    assert_eq!(answer.body, format!("handled by child, pid is {pid}\n"));
    for worker in &workers {
        parent.wait_for_line(&format!("worker {} started", worker.pid));
        parent.wait_for_line(&format!("worker {} is ready", worker.pid));
    }
}

#[test]
fn workers_hold_the_listener_and_nothing_of_their_siblings() {
    let (parent, workers) = own(3);
    let listener = listener_on(parent.port());
    let parents = sockets(parent.pid());
    assert!(!parents.contains(&listener), "the parent still holds its listener");
    assert_eq!(
        parents.len(),
        workers.len(),
        "the parent needs one channel for each worker"
    );
    let mut seen = HashSet::from([listener.clone()]);
    for worker in &workers {
        let mut own = sockets(worker.pid);
        assert!(own.remove(&listener), "a worker without the listener");
        assert!(
            own.is_disjoint(&parents),
            "it holds an end of the parent's: {own:?}"
        );
        assert!(own.is_disjoint(&seen), "it holds what a sibling holds: {own:?}");
        assert_eq!(
            own.len(),
            1,
            "a channel, and the listener: {:?}",
            fds(worker.pid)
        );
        seen.extend(own);
    }
}

#[test]
fn node_workers_serve_the_same_listener() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/http_worker.js"));
    let program = program().args(["--port", "0", "--workers", "2", "--exec"]);
    let (parent, workers) = serve(program.arg(node).arg(&script), 2);
    assert_all_answer(&parent, &workers);
}

#[test]
fn when_a_worker_dies_the_others_go_on() {
    let (parent, workers) = own(3);
    assert!(workers[1].signal(Signal::SIGKILL));
    let says = format!(
        "worker {} was killed by SIGKILL; it is not replaced",
        workers[1].pid
    );
    parent.wait_for_line(&says);
    assert_eq!(zombies_of(parent.pid()), [], "it must be waited for");
    assert_all_answer(&parent, &[workers[0], workers[2]]);
    assert_eq!(parent.children(), [workers[0], workers[2]]);
}

#[test]
fn when_all_workers_die_the_parent_exits() {
    let (parent, workers) = own(2);
    let port = parent.port();
    for worker in &workers {
        worker.signal(Signal::SIGKILL);
    }
    assert_eq!(parent.wait(LONG).code(), Some(1), "{}", parent.stdout());
    let line = parent.wait_for_stderr("no worker");
    assert_eq!(line, "no worker is left, and this chapter does not replace them");
    assert_all_gone(&workers, Some(port), Duration::from_secs(2));
}

#[test]
fn a_parent_that_only_watches_uses_no_cpu() {
    let (parent, _) = own(2);
    let before = testkit::cpu_time(parent.pid());
    // The test measures what the parent uses while its workers answer 2,000
    // requests.
    let load = Load { addr: parent.addr(), clients: 4, kind: Kind::HttpClose };
    load.run_total(2000).assert_none_lost();
    let used = testkit::cpu_time(parent.pid()) - before;
    assert!(used < Duration::from_millis(50), "it has used {used:?}");
}
