//! What processes hold, and what an idle server costs.

mod common;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use common::{
    GET, SOON, WORKER_FDS, answer, closing, connected, keeping, server,
    wait_until_full,
};
use testkit::{Running, Signal, cpu_time, eventually, fds, threads};

/// The sockets that a process holds.
fn sockets(pid: i32) -> BTreeSet<String> {
    let targets = fds(pid).into_iter().map(|(_, target)| target);
    targets.filter(|target| target.starts_with("socket:")).collect()
}

/// Blocks until all workers serve, and nobody else is left.
#[track_caller]
fn settle(server: &Running, workers: usize) {
    wait_until_full(server, workers);
    eventually("the old workers have ended", SOON, || {
        server.children().len() == workers
    });
}

#[test]
fn after_200_crashes_the_master_holds_what_it_held_before() {
    let server = server(2, 1);
    settle(&server, 2);
    let before = fds(server.pid());
    closing(&server, 4).run_total(200).assert_none_lost();
    settle(&server, 2);
    let same = || fds(server.pid()).len() == before.len();
    let held = |after| format!("before: {before:?}\nafter: {after:?}");
    assert!(
        testkit::try_eventually(SOON, || same().then_some(())).is_some(),
        "{}",
        held(fds(server.pid()))
    );
}

#[test]
fn after_workers_that_could_not_be_started_the_master_holds_what_it_held_before() {
    let server = common::server_of(4, &["/no/such/program"]);
    server.wait_for_line("the next one starts in 100 ms");
    let before = fds(server.pid()).len();
    server.wait_for_line("the next one starts in 800 ms");
    assert_eq!(fds(server.pid()).len(), before);
}

#[test]
fn a_worker_holds_its_own_and_nothing_of_its_siblings() {
    let server = server(4, 1);
    closing(&server, 4).run_total(100).assert_none_lost();
    settle(&server, 4);
    let workers: Vec<i32> =
        server.children().iter().map(|worker| worker.pid).collect();
    for &worker in &workers {
        let all = fds(worker);
        assert_eq!(
            all.len(),
            WORKER_FDS,
            "0, 1, 2, channel, listener, signal pipe: {all:?}"
        );
        for other in
            workers.iter().copied().chain([server.pid()]).filter(|&it| it != worker)
        {
            let shared: Vec<_> =
                sockets(worker).intersection(&sockets(other)).cloned().collect();
            assert_eq!(
                shared.len(),
                1,
                "{worker} and {other} share the listener: {shared:?}"
            );
        }
    }
}

#[test]
fn a_worker_holds_nothing_of_what_its_master_was_started_with() {
    let script = "exec 7</dev/null 8>/dev/null; exec \"$0\" --port 0 --workers 1 --crash-after 0";
    let arguments = ["-c", script, env!("CARGO_BIN_EXE_ch05-restart")];
    let server = testkit::Program::new("sh").args(arguments).start();
    wait_until_full(&server, 1);
    let all = fds(common::only_worker(&server).pid);
    assert_eq!(all.len(), WORKER_FDS, "{all:?}");
}

#[test]
fn connections_are_closed_when_their_clients_are_gone() {
    let server = server(1, 0);
    let worker = common::only_worker(&server).pid;
    let clients: Vec<_> = (0..50).map(|_| connected(&server, GET)).collect();
    eventually("all are accepted", SOON, || fds(worker).len() == WORKER_FDS + 50);
    drop(clients);
    eventually("all are closed", SOON, || fds(worker).len() == WORKER_FDS);
}

#[test]
fn master_and_workers_have_one_thread_each() {
    let server = server(2, 50);
    let load = keeping(&server, 8).start();
    load.wait_for_more(500, SOON);
    assert_eq!(
        threads(server.pid()),
        1,
        "fork is safe only in a process with one thread"
    );
    for worker in server.children() {
        // One that has just ended has none.
        assert!(
            threads(worker.pid) <= 1,
            "a thread for each connection has no bound"
        );
    }
    load.stop().assert_none_lost();
}

#[test]
fn an_idle_server_uses_no_cpu() {
    let server = server(2, 1);
    closing(&server, 2).run_total(20).assert_none_lost();
    settle(&server, 2);
    let mut idle = connected(&server, b"GET / HTTP/1.1\r\nHo");
    eventually("it was accepted", SOON, || {
        server.children().iter().any(|worker| fds(worker.pid).len() > WORKER_FDS)
    });
    assert_idle(&server);
    // Nor does one that drains.
    for worker in server.children() {
        worker.signal(Signal::SIGTERM);
    }
    wait_until_full(&server, 2);
    assert_idle(&server);
    idle.send_raw(b"st: x\r\n\r\n").expect("the rest of the request");
    answer(&mut idle);
}

/// Looks for a second at what the whole family uses.
#[track_caller]
fn assert_idle(server: &Running) {
    let family = server.processes();
    let used =
        || family.iter().map(|process| cpu_time(process.pid)).sum::<Duration>();
    let before = used();
    sleep(Duration::from_secs(1));
    // Those that end meanwhile take their share with them.
    let after = used().saturating_sub(before);
    assert!(
        after <= Duration::from_millis(30),
        "{after:?} of CPU in a second of doing nothing"
    );
}
