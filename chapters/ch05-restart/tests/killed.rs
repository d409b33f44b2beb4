//! Workers are killed, and the server heals.

mod common;

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::dice::Dice;
use common::{
    SOON, WORKER_FDS, closing, keeping, most_at_once, server, serving, status,
    wait_until_full,
};
use testkit::load::{Background, Report};
use testkit::{Process, Running, Signal, eventually, fds, http, try_eventually};

/// Two loads at once: with a connection for each request, and with connections that stay.
fn both(server: &Running) -> [Background; 2] {
    [closing(server, 4).start(), keeping(server, 4).start()]
}

fn stop(loads: [Background; 2]) -> [Report; 2] {
    loads.map(Background::stop)
}

/// Signals a random child of the master every 100 ms.
fn torment(server: &Running, lasts: Duration, mut hit: impl FnMut(Process)) {
    let mut dice = Dice::new(7);
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        if let Some(victim) = dice.pick(&server.children()) {
            hit(victim);
        }
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn after_kill_9_of_all_workers_the_next_request_is_answered_and_all_are_back_in_a_second()
 {
    let server = server(4, 0);
    for round in 0..20 {
        let victims = server.children();
        assert_eq!(victims.len(), 4, "round {round}");
        for victim in &victims {
            victim.signal(Signal::SIGKILL);
        }
        let killed = Instant::now();
        let answer = http::get(server.addr());
        assert!(
            answer.is_ok(),
            "round {round}: the next request is lost: {answer:?}"
        );
        let gone: BTreeSet<i32> = victims.iter().map(|victim| victim.pid).collect();
        eventually("four new workers", SOON, || {
            let now = serving(&server);
            now.len() == 4 && now.is_disjoint(&gone)
        });
        let took = killed.elapsed();
        assert!(
            took < Duration::from_secs(1),
            "round {round}: all were back after {took:?}"
        );
    }
}

#[test]
fn sigterm_to_random_workers_loses_nothing() {
    sigterm(Duration::from_secs(2));
}

#[test]
#[ignore = "takes 30 s"]
fn sigterm_to_random_workers_for_30_s_loses_nothing() {
    sigterm(Duration::from_secs(30));
}

fn sigterm(lasts: Duration) {
    let server = server(4, 50);
    let loads = both(&server);
    torment(&server, lasts, |victim| {
        let _ = victim.signal(Signal::SIGTERM);
    });
    for report in stop(loads) {
        report.assert_none_lost();
        assert!(
            report.by_pid.len() > 10,
            "many workers have had their turn\n{report}"
        );
    }
    wait_until_full(&server, 4);
    assert!(
        most_at_once(&server) <= 4,
        "somebody was replaced twice\n{}",
        server.stdout()
    );
}

#[test]
fn sigkill_to_random_workers_loses_what_the_victims_held_and_nothing_else() {
    sigkill(Duration::from_secs(2));
}

#[test]
#[ignore = "takes 30 s"]
fn sigkill_to_random_workers_for_30_s_loses_what_the_victims_held_and_nothing_else()
{
    sigkill(Duration::from_secs(30));
}

fn sigkill(lasts: Duration) {
    let server = server(4, 50);
    let loads = both(&server);
    let (mut held, mut kills) = (0, 0);
    torment(&server, lasts, |victim| {
        // While it is stopped it accepts nobody: what it holds now is what its death can cost.
        victim.signal(Signal::SIGSTOP);
        eventually("it is stopped, or gone", SOON, || {
            !victim.alive() || is_stopped(victim.pid)
        });
        held += fds(victim.pid).len().saturating_sub(WORKER_FDS);
        kills += u32::from(victim.signal(Signal::SIGKILL));
    });
    let [closing, keeping] = stop(loads);
    let lost = closing.lost_count + keeping.lost_count;
    assert_eq!(closing.refused + keeping.refused, 0, "somebody always listens");
    let seen = format!(
        "{kills} kills, which held {held} connections\n{closing}\n{keeping}"
    );
    assert!(lost <= held as u64, "{lost} lost; {seen}");
    assert!(kills > 10 && closing.answered + keeping.answered > 100, "{seen}");
    wait_until_full(&server, 4);
    assert!(
        most_at_once(&server) <= 4,
        "somebody was replaced twice\n{}",
        server.stdout()
    );
}

fn is_stopped(pid: i32) -> bool {
    status(pid, "State:").is_some_and(|state| state == "T (stopped)")
}

#[test]
fn kill_9_of_one_worker_costs_nothing_to_those_who_drain() {
    let server = server(2, 0);
    let mut slow = common::connected(&server, b"GET / HTTP/1.1\r\nHo");
    // There is no other client yet: who has one descriptor more than a worker needs has this one.
    let holder =
        || server.children().into_iter().find(|it| fds(it.pid).len() > WORKER_FDS);
    let drains =
        try_eventually(SOON, holder).expect("a worker accepts the slow client");
    let loads = both(&server);
    common::signal(drains, Signal::SIGTERM);
    server.wait_for_line(&format!("worker {} drains", drains.pid));
    wait_until_full(&server, 2);
    for other in serving(&server) {
        common::signal(common::process(other), Signal::SIGKILL);
    }
    wait_until_full(&server, 2);
    slow.send_raw(b"st: x\r\n\r\n").expect("the rest of the request");
    assert_eq!(
        common::answer(&mut slow).1,
        drains.pid,
        "it answers what it was given"
    );
    stop(loads);
}
