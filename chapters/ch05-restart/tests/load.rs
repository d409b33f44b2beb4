//! Workers crash all the time, and no request is lost.

mod common;

use common::{SOON, closing, installed, keeping, server, serving, wait_until_full};
use testkit::{Program, Signal, eventually, zombies_of};

#[test]
fn of_1000_requests_one_after_another_each_has_a_worker_of_its_own() {
    let server = server(2, 1);
    let report = closing(&server, 1).run_total(1_000);
    report.assert_none_lost();
    assert_eq!(
        report.by_pid.len(),
        1_000,
        "each answer crashes its worker\n{report}"
    );
    wait_until_full(&server, 2);
}

#[test]
fn of_1000_requests_from_10_clients_none_is_lost() {
    let server = server(2, 1);
    let report = closing(&server, 10).run_total(1_000);
    report.assert_none_lost();
    // Besides the one that crashes it, a worker answers only those whom it had accepted by then.
    assert!(report.by_pid.len() >= 1_000 / 10, "too few have crashed\n{report}");
    wait_until_full(&server, 2);
}

#[test]
fn ab_loses_nothing_either() {
    if !installed("ab") {
        return;
    }
    let server = server(2, 1);
    let url = format!("http://{}/", server.addr());
    let output =
        Program::new("ab").args(["-q", "-n", "1000", "-c", "10", &url]).output();
    let line = |name: &str| {
        let line = output
            .stdout
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_default();
        line.split_whitespace().last().unwrap_or_default().to_owned()
    };
    assert_eq!(line("Complete requests"), "1000", "{output:?}");
    // To ab, an answer of another length than the first is a failure: pids differ in theirs.
    assert_eq!(line("Non-2xx responses"), "", "{output:?}");
    let reasons = output.stdout.lines().find(|line| line.contains("Exceptions: "));
    let clean = reasons.is_none_or(|it| {
        it.contains("Connect: 0, Receive: 0") && it.contains("Exceptions: 0")
    });
    assert!(clean, "{output:?}");
}

#[test]
fn kept_connections_lose_nothing_when_each_answer_crashes_a_worker() {
    let server = server(2, 1);
    keeping(&server, 10).run_total(500).assert_none_lost();
    wait_until_full(&server, 2);
}

#[test]
fn kept_connections_lose_nothing_when_workers_crash_now_and_then() {
    let server = server(2, 50);
    let report = keeping(&server, 8).run_total(4_000);
    report.assert_none_lost();
    assert!(report.by_pid.len() > 10, "workers have crashed\n{report}");
    wait_until_full(&server, 2);
}

#[test]
fn with_crash_after_0_nobody_crashes() {
    let server = server(2, 0);
    let before = serving(&server);
    let report = closing(&server, 4).run_total(1_000);
    report.assert_none_lost();
    assert!(report.by_pid.keys().all(|pid| before.contains(pid)), "{report}");
    assert_eq!(serving(&server), before, "nobody was replaced");
}

#[test]
fn while_one_worker_is_stopped_the_other_answers() {
    let server = server(2, 0);
    let stopped = server.children()[0];
    common::signal(stopped, Signal::SIGSTOP);
    let report = closing(&server, 4).run_total(500);
    report.assert_none_lost();
    assert_eq!(report.by_pid.len(), 1, "{report}");
    assert!(!report.by_pid.contains_key(&stopped.pid));
    common::signal(stopped, Signal::SIGCONT);
    let background = closing(&server, 4).start();
    background.wait_for_more(100, SOON);
    background.stop().assert_none_lost();
}

#[test]
fn a_burst_of_crashes_leaves_no_zombie() {
    let server = server(4, 1);
    closing(&server, 8).run_total(500).assert_none_lost();
    wait_until_full(&server, 4);
    eventually("no child that has ended is left unreaped", SOON, || {
        zombies_of(server.pid()).is_empty()
    });
    assert_eq!(server.children().len(), 4, "and nobody else is left");
}
