//! What processes hold, and what an idle server costs.

mod common;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use common::{
    GET, HALF, PROGRAM, SOON, WORKER_FDS, connected, load, only_worker, response,
    server, wait_until_full,
};
use testkit::load::Report;
use testkit::{
    Process, Program, Running, Signal, cpu_time, eventually, fds, threads,
    try_eventually,
};

/// The sockets that a process holds.
fn sockets(pid: i32) -> BTreeSet<String> {
    let targets = fds(pid).into_iter().map(|(_, target)| target);
    targets.filter(|target| target.starts_with("socket:")).collect()
}

/// Blocks until all workers serve, and no other worker is left: of those that crash
/// after an answer, none that has `answered`. (Its client may know of its last answer
/// before its master knows of its crash.)
#[track_caller]
fn settle(server: &Running, workers: usize, answered: &Report) {
    eventually("the old workers have exited", SOON, || {
        let all = server.children();
        let is_new = |worker: &Process| !answered.by_pid.contains_key(&worker.pid);
        all.len() == workers && all.iter().all(is_new)
    });
    wait_until_full(server, workers);
}

#[test]
fn after_100_crashes_the_master_holds_what_it_held_before() {
    let server = server(2, 1);
    let before = fds(server.pid());
    let report = load(&server, 4).run_total(100);
    report.assert_none_lost();
    settle(&server, 2, &report);
    let same = || (fds(server.pid()).len() == before.len()).then_some(());
    assert!(try_eventually(SOON, same).is_some(), "{:?}", fds(server.pid()));
}

#[test]
fn after_failed_starts_the_master_holds_what_it_held_before() {
    let server = common::server_of(4, &["/no/such/program"]);
    server.wait_for_line("the next one starts in 100 ms");
    let before = fds(server.pid()).len();
    server.wait_for_line("the next one starts in 800 ms");
    assert_eq!(fds(server.pid()).len(), before);
}

#[test]
fn a_worker_shares_the_listener_with_its_siblings_and_nothing_else() {
    let server = server(4, 1);
    let report = load(&server, 4).run_total(100);
    report.assert_none_lost();
    settle(&server, 4, &report);
    let workers: Vec<i32> = server.children().iter().map(|it| it.pid).collect();
    for &worker in &workers {
        let all = fds(worker);
        assert_eq!(all.len(), WORKER_FDS, "{all:?}");
        let others = workers.iter().copied().chain([server.pid()]);
        for other in others.filter(|&other| other != worker) {
            let (ours, theirs) = (sockets(worker), sockets(other));
            let shared: Vec<_> = ours.intersection(&theirs).collect();
            assert_eq!(shared.len(), 1, "{worker} and {other}: {shared:?}");
        }
    }
}

#[test]
fn a_worker_holds_nothing_of_what_its_master_was_started_with() {
    let command = "exec \"$0\" --port 0 --workers 1 --crash-after 0";
    let script = format!("exec 7</dev/null 8>/dev/null; {command}");
    let server = Program::new("sh").args(["-c", &script, PROGRAM]).start();
    wait_until_full(&server, 1);
    let all = fds(only_worker(&server).pid);
    assert_eq!(all.len(), WORKER_FDS, "{all:?}");
}

#[test]
fn connections_are_closed_when_their_clients_close_them() {
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    let clients: Vec<_> = (0..50).map(|_| connected(&server, GET)).collect();
    eventually("all are accepted", SOON, || fds(worker).len() == WORKER_FDS + 50);
    drop(clients);
    eventually("all are closed", SOON, || fds(worker).len() == WORKER_FDS);
}

#[test]
fn master_and_workers_have_one_thread_each() {
    let server = server(2, 50);
    let background = load(&server, 8).start();
    background.wait_for_more(200, SOON);
    assert_eq!(threads(server.pid()), 1, "fork needs it");
    for worker in server.children() {
        // A worker that has just exited has none.
        assert!(threads(worker.pid) <= 1, "a thread a connection has no bound");
    }
    background.stop().assert_none_lost();
}

#[test]
fn an_idle_server_uses_no_cpu() {
    let server = server(2, 1);
    let report = load(&server, 2).run_total(20);
    report.assert_none_lost();
    settle(&server, 2, &report);
    let mut idle = connected(&server, HALF[0]);
    eventually("it was accepted", SOON, || {
        server.children().iter().any(|worker| fds(worker.pid).len() > WORKER_FDS)
    });
    assert_idle(&server);
    // Nor does a worker that drains.
    for worker in server.children() {
        worker.signal(Signal::SIGTERM);
    }
    wait_until_full(&server, 2);
    assert_idle(&server);
    idle.send_raw(HALF[1]).expect("the rest of the request");
    response(&mut idle);
}

/// Looks for half a second at what all processes of the server use.
#[track_caller]
fn assert_idle(server: &Running) {
    let family = server.processes();
    let used =
        || family.iter().map(|process| cpu_time(process.pid)).sum::<Duration>();
    let before = used();
    sleep(Duration::from_millis(500));
    // A worker that exits meanwhile takes its share with it.
    let spent = used().saturating_sub(before);
    assert!(
        spent <= Duration::from_millis(20),
        "{spent:?} of CPU in half an idle second"
    );
}

/// `prlimit` lowers the limit below what is open: poll(2) says EINVAL then.
#[test]
fn a_lower_limit_of_descriptors_ends_neither_master_nor_workers() {
    if !common::installed("prlimit") {
        return;
    }
    let server = server(2, 0);
    let open: Vec<_> = (0..20).map(|_| connected(&server, b"")).collect();
    let workers = server.children();
    for pid in workers.iter().map(|it| it.pid).chain([server.pid()]) {
        let pid = pid.to_string();
        let lower = ["--pid", &pid, "--nofile=4"];
        assert!(Program::new("prlimit").args(lower).output().status.success());
    }
    sleep(Duration::from_millis(300));
    assert_eq!(server.children(), workers, "{}", server.describe());
    drop(open);
    for pid in workers.iter().map(|it| it.pid).chain([server.pid()]) {
        let pid = pid.to_string();
        let raise = ["--pid", &pid, "--nofile=1024:"];
        let _ = Program::new("prlimit").args(raise).output();
    }
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(SOON).code(), Some(0));
}
