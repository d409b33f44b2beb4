//! Workers that hang are replaced, and workers that are only busy are not.

mod common;

use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{SOON, Server, held_connections, numbered, request, server, signal};
use testkit::{Process, Signal, eventually};

/// How long a worker may be silent in these tests.
const LIMIT: Duration = Duration::from_millis(600);

/// A server whose workers may be silent for [`LIMIT`].
fn strict(workers: usize) -> Server {
    let limit = LIMIT.as_secs_f64();
    server(&format!("{}[limits]\nalive = {limit}\n", numbered(workers, 1)))
}

/// Blocks until the worker is killed because it hangs, and returns how long that took.
#[track_caller]
fn is_killed(server: &Server, worker: Process) -> Duration {
    let began = Instant::now();
    server.wait_for_line(&format!("worker {} gives no sign of life", worker.pid));
    eventually("it is dead", SOON, || !worker.alive());
    began.elapsed()
}

#[test]
fn a_stopped_worker_is_replaced_and_other_clients_are_not_affected() {
    let server = strict(2);
    let victim = server.workers()[0];
    signal(victim, Signal::SIGSTOP);
    let load = server.load(2).start();
    let took = is_killed(&server, victim);
    assert!(took < 2 * LIMIT, "after {took:?}");
    server.settle(|_| true);
    assert!(!server.workers().contains(&victim));
    common::none_lost(load);
}

#[test]
fn an_endless_loop_is_ended_and_other_clients_are_not_affected() {
    let server = strict(2);
    let mut client = server.connected(&request("/loop"));
    let holds = |it: &Process| held_connections(it.pid, server.pid()) > 0;
    eventually("a worker has accepted it", SOON, || {
        server.workers().iter().any(holds)
    });
    let victim = server.workers().into_iter().find(holds).expect("it was there");
    let load = server.load(2).start();
    let took = is_killed(&server, victim);
    assert!(took < 2 * LIMIT, "after {took:?}");
    assert!(client.is_closed_within(SOON), "there is no response");
    server.settle(|_| true);
    common::none_lost(load);
}

#[test]
fn a_worker_that_is_busy_for_half_the_limit_is_left_alone() {
    let server = strict(1);
    let workers = server.workers();
    let half = LIMIT.as_millis() / 2;
    for _ in 0..2 {
        assert_eq!(server.get(&format!("/busy/{half}")).status, 200);
    }
    assert_eq!(server.workers(), workers);
    assert!(!server.stdout().contains("no sign of life"), "{}", server.stdout());
}

/// A debugger, `docker pause`, Ctrl-Z and `fg`: the master cannot tell whether its
/// workers ran while it did not run itself. And if they ran, what they have sent
/// meanwhile counts.
#[test]
fn if_the_master_was_stopped_too_no_worker_is_killed() {
    let servers = [strict(2), strict(2), strict(2)];
    let [all_first, all_last, only_master] = &servers;
    let workers = servers.each_ref().map(Server::workers);
    for server in &servers {
        signal(server.master(), Signal::SIGSTOP);
    }
    for worker in workers[..2].concat() {
        signal(worker, Signal::SIGSTOP);
    }
    sleep(LIMIT * 3 / 2);
    workers[0].iter().for_each(|&worker| signal(worker, Signal::SIGCONT));
    for server in [all_last, only_master, all_first] {
        signal(server.master(), Signal::SIGCONT);
    }
    // The master has its time to look before its workers run.
    sleep(LIMIT / 4);
    workers[1].iter().for_each(|&worker| signal(worker, Signal::SIGCONT));
    sleep(LIMIT);
    for (server, workers) in servers.iter().zip(workers) {
        assert_eq!(server.workers(), workers, "{}", server.describe());
        let log = server.stdout();
        assert!(!log.contains("no sign of life"), "{log}");
        server.load(2).run_total(20).assert_none_lost();
    }
}
