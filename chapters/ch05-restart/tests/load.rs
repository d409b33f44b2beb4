//! Workers crash and are killed all the time, and the server heals.

mod common;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::dice::Dice;
use common::{
    HALF, SOON, WORKER_FDS, installed, load, most_at_once, server, serving, status,
    wait_until_full,
};
use testkit::{
    Process, Program, Running, Signal, eventually, fds, http, try_eventually,
    zombies_of,
};

#[test]
fn of_400_requests_in_a_row_each_has_a_worker_of_its_own() {
    let server = server(2, 1);
    let report = load(&server, 1).run_total(400);
    report.assert_none_lost();
    assert_eq!(
        report.by_pid.len(),
        400,
        "each response crashes a worker\n{report}"
    );
    wait_until_full(&server, 2);
    assert!(most_at_once(&server) <= 2, "a worker was replaced twice");
    eventually("no worker is left unreaped", SOON, || {
        zombies_of(server.pid()).is_empty() && server.children().len() == 2
    });
}

#[test]
fn of_500_requests_from_10_clients_none_is_lost() {
    let server = server(2, 1);
    let report = load(&server, 10).run_total(500);
    report.assert_none_lost();
    // Besides the request that crashes it, a worker answers only what it had
    // accepted.
    assert!(report.by_pid.len() >= 500 / 10, "too few have crashed\n{report}");
    wait_until_full(&server, 2);
}

#[test]
fn ab_loses_nothing_either() {
    if !installed("ab") {
        return;
    }
    let server = server(2, 1);
    let url = format!("http://{}/", server.addr());
    let arguments = ["-q", "-n", "300", "-c", "10", &url];
    let output = Program::new("ab").args(arguments).output();
    let line = |name: &str| {
        let line = output.stdout.lines().find(|line| line.starts_with(name));
        line.and_then(|it| it.split_whitespace().last()).unwrap_or_default()
    };
    assert_eq!(line("Complete requests"), "300", "{output:?}");
    // To ab, a response of another length than the first is a failure: pids differ
    // in theirs.
    assert_eq!(line("Non-2xx responses"), "", "{output:?}");
    let reasons = output.stdout.lines().find(|line| line.contains("Exceptions: "));
    let clean = reasons.is_none_or(|it| {
        it.contains("Connect: 0, Receive: 0") && it.contains("Exceptions: 0")
    });
    assert!(clean, "{output:?}");
}

#[test]
fn with_crash_after_0_no_worker_crashes() {
    let server = server(2, 0);
    let before = serving(&server);
    let report = load(&server, 4).run_total(500);
    report.assert_none_lost();
    assert!(report.by_pid.keys().all(|pid| before.contains(pid)), "{report}");
    assert_eq!(serving(&server), before, "no worker was replaced");
}

#[test]
fn while_one_worker_is_stopped_the_other_answers() {
    let server = server(2, 0);
    let stopped = server.children()[0];
    common::signal(stopped, Signal::SIGSTOP);
    let report = load(&server, 4).run_total(500);
    report.assert_none_lost();
    assert_eq!(report.by_pid.len(), 1, "{report}");
    assert!(!report.by_pid.contains_key(&stopped.pid));
    common::signal(stopped, Signal::SIGCONT);
    load(&server, 4).run_total(200).assert_none_lost();
}

#[test]
fn after_kill_9_of_all_workers_the_next_request_is_answered_and_all_are_back_in_a_second()
 {
    let server = server(4, 0);
    for round in 0..5 {
        let victims = server.children();
        assert_eq!(victims.len(), 4, "round {round}");
        for victim in &victims {
            victim.signal(Signal::SIGKILL);
        }
        let killed = Instant::now();
        let response = http::get(server.addr());
        assert!(response.is_ok(), "round {round}: the next request: {response:?}");
        let gone: BTreeSet<i32> = victims.iter().map(|victim| victim.pid).collect();
        eventually("four new workers", SOON, || {
            let now = serving(&server);
            now.len() == 4 && now.is_disjoint(&gone)
        });
        let took = killed.elapsed();
        assert!(took < Duration::from_secs(1), "round {round}: after {took:?}");
    }
}

/// Signals a random child of the master every 100 ms, so many times.
fn torment(server: &Running, times: usize, mut hit: impl FnMut(Process)) {
    let mut dice = Dice::new(7);
    for _ in 0..times {
        if let Some(victim) = dice.pick(&server.children()) {
            hit(victim);
        }
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn sigterm_to_random_workers_loses_nothing() {
    sigterm(10);
}

#[test]
#[ignore = "takes 30 s"]
fn sigterm_to_random_workers_for_30_s_loses_nothing() {
    sigterm(300);
}

fn sigterm(times: usize) {
    // With more crashes, the log's limit for starts and exits would hide some lines,
    // and `wait_until_full` reads them.
    let server = server(4, 1000);
    let background = load(&server, 8).start();
    torment(&server, times, |victim| {
        let _ = victim.signal(Signal::SIGTERM);
    });
    let report = background.stop();
    report.assert_none_lost();
    assert!(report.by_pid.len() > 10, "many workers have had their turn\n{report}");
    wait_until_full(&server, 4);
    assert!(most_at_once(&server) <= 4, "replaced twice\n{}", server.stdout());
}

#[test]
fn sigkill_to_random_workers_loses_what_the_victims_held_and_nothing_else() {
    sigkill(10);
}

#[test]
#[ignore = "takes 30 s"]
fn sigkill_to_random_workers_for_30_s_loses_what_the_victims_held_and_nothing_else()
{
    sigkill(300);
}

fn sigkill(times: usize) {
    // With fewer requests, most victims would have crashed before they are stopped.
    let server = server(4, 1000);
    let background = load(&server, 8).start();
    let (mut held, mut kills) = (0, 0);
    torment(&server, times, |victim| {
        // While it is stopped it accepts nothing: what it holds now is what its
        // death costs.
        victim.signal(Signal::SIGSTOP);
        eventually("it is stopped, or has exited", SOON, || {
            let state = status(victim.pid, "State:");
            !victim.alive() || state.is_some_and(|state| state == "T (stopped)")
        });
        held += fds(victim.pid).len().saturating_sub(WORKER_FDS);
        kills += u32::from(victim.signal(Signal::SIGKILL));
    });
    let report = background.stop();
    let seen = format!("{kills} kills, which held {held} connections\n{report}");
    assert_eq!(report.refused, 0, "a process always listens; {seen}");
    assert!(report.lost_count <= held as u64, "{seen}");
    assert!(kills as usize > times / 2 && report.answered > 100, "{seen}");
    wait_until_full(&server, 4);
    assert!(most_at_once(&server) <= 4, "replaced twice\n{}", server.stdout());
}

#[test]
fn kill_9_of_the_others_costs_a_draining_worker_nothing() {
    let server = server(2, 0);
    let mut slow = common::connected(&server, HALF[0]);
    // There is no other client yet: the worker with a descriptor more has this one.
    let holder =
        || server.children().into_iter().find(|it| fds(it.pid).len() > WORKER_FDS);
    let drains = try_eventually(SOON, holder).expect("a worker accepts the client");
    let background = load(&server, 4).start();
    common::signal(drains, Signal::SIGTERM);
    server.wait_for_line(&format!("worker {} drains", drains.pid));
    wait_until_full(&server, 2);
    for other in serving(&server) {
        common::signal(common::process(other), Signal::SIGKILL);
        server.wait_for_line(&format!("worker {other} was killed by SIGKILL"));
    }
    wait_until_full(&server, 2);
    slow.send_raw(HALF[1]).expect("the rest of the request");
    assert_eq!(common::response(&mut slow).1, drains.pid);
    background.stop();
}
