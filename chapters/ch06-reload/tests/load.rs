//! Everything changes under load, and no request is lost.

mod common;

use std::thread::sleep;
use std::time::{Duration, Instant};

use common::dice::Dice;
use common::{
    PROMPT, SOON, Server, installed, memory, numbered, server_of,
    unanswered_connections, wait_until_stopped,
};
use testkit::{Program, Signal, assert_all_gone, eventually, fds};

/// What happens to the server under load, and for how long.
struct Storm {
    lasts: Duration,
    hup: Option<Duration>,
    usr2: Option<Duration>,
    resize: Option<Duration>,
    kill: Option<Duration>,
}

const SECOND: Duration = Duration::from_secs(1);

/// Nothing happens for a second and a half.
const SHORT: Storm = Storm {
    lasts: Duration::from_millis(1_500),
    hup: None,
    usr2: None,
    resize: None,
    kill: None,
};

/// How long the long tests take: a minute, or `LOAD_SECONDS`.
fn seconds() -> u64 {
    let seconds = std::env::var("LOAD_SECONDS");
    seconds.map_or(60, |text| text.parse().expect("LOAD_SECONDS is a number"))
}

/// Nothing happens for a minute.
fn minute() -> Storm {
    Storm { lasts: Duration::from_secs(seconds()), ..SHORT }
}

#[test]
fn all_changes_lose_nothing() {
    blow(Storm {
        hup: Some(SECOND / 4),
        usr2: Some(SECOND / 2),
        resize: Some(SECOND / 10),
        ..SHORT
    });
}

#[test]
fn all_changes_and_kills_lose_what_the_victims_held() {
    blow(Storm {
        hup: Some(SECOND / 3),
        usr2: Some(SECOND / 2),
        resize: Some(SECOND / 5),
        kill: Some(SECOND / 3),
        lasts: SHORT.lasts,
    });
}

#[test]
#[ignore = "takes a minute"]
fn a_minute_of_reloads_loses_nothing() {
    blow(Storm { hup: Some(SECOND), ..minute() });
}

#[test]
#[ignore = "takes a minute"]
fn a_minute_of_upgrades_loses_nothing() {
    blow(Storm { usr2: Some(5 * SECOND), ..minute() });
}

#[test]
#[ignore = "takes a minute"]
fn a_minute_of_more_and_fewer_workers_loses_nothing() {
    blow(Storm { resize: Some(SECOND / 5), ..minute() });
}

#[test]
#[ignore = "takes a minute"]
fn a_minute_of_all_changes_and_kills_loses_what_the_victims_held() {
    blow(Storm {
        hup: Some(SECOND),
        usr2: Some(5 * SECOND),
        resize: Some(SECOND / 2),
        kill: Some(SECOND),
        lasts: minute().lasts,
    });
}

#[test]
fn ab_loses_nothing_during_reloads_and_upgrades() {
    ab(1);
}

#[test]
#[ignore = "takes a minute"]
fn ab_loses_nothing_during_a_minute_of_reloads_and_upgrades() {
    ab(seconds());
}

fn ab(seconds: u64) {
    if !installed("ab") {
        return;
    }
    let server = server_of(2);
    let url = format!("http://{}/", server.addr());
    let time = seconds.to_string();
    let arguments = ["-q", "-t", &time, "-n", "9999999", "-c", "4", &url];
    let ab = Program::new("ab").args(arguments).start();
    let mut reloads = 0;
    while ab.try_wait().is_none() {
        reloads += 1;
        server.send(if reloads % 5 == 0 {
            Signal::SIGUSR2
        } else {
            Signal::SIGHUP
        });
        sleep(SECOND / 5 * if seconds > 5 { 5 } else { 1 });
    }
    let seen = ab.describe();
    let number = |name: &str| {
        let output = ab.stdout();
        let line = output.lines().find(|line| line.starts_with(name));
        line.and_then(|it| it.split_whitespace().last()?.parse::<u64>().ok())
    };
    println!("{:?} requests, {reloads} signals", number("Complete requests"));
    assert!(number("Complete requests") > Some(100), "{seen}");
    assert_eq!(number("Failed requests"), Some(0), "{seen}");
    assert_eq!(number("Non-2xx responses"), None, "{seen}");
    server.settle(|_| true);
    assert_eq!(server.stderr(), "");
}

#[test]
#[ignore = "takes a minute"]
fn wrk_loses_nothing_during_a_minute_of_reloads_and_upgrades() {
    if !installed("wrk") {
        return;
    }
    let server = server_of(2);
    let url = format!("http://{}/", server.addr());
    let time = format!("-d{}s", seconds());
    let wrk = Program::new("wrk").args(["-t1", "-c4", &time, &url]).start();
    let mut reloads = 0;
    while wrk.try_wait().is_none() {
        reloads += 1;
        server.send(if reloads % 5 == 0 {
            Signal::SIGUSR2
        } else {
            Signal::SIGHUP
        });
        sleep(SECOND);
    }
    let seen = wrk.describe();
    println!("{seen}");
    assert!(wrk.stdout().contains("requests in"), "{seen}");
    // It has lines for errors only if there are any.
    assert!(!wrk.stdout().contains("Socket errors"), "{seen}");
    assert!(!wrk.stdout().contains("Non-2xx"), "{seen}");
    server.settle(|_| true);
    assert_eq!(server.stderr(), "");
}

/// Loads a server of two workers, and lets the storm blow. Nothing may be lost but what
/// killed workers held; in the end nothing may be left of it.
fn blow(storm: Storm) {
    let server = server_of(2);
    server.load(4).run_total(100).assert_none_lost();
    let before = resources(&server);
    let load = server.load(4).start();
    let (began, mut dice) = (Instant::now(), Dice::new(6));
    let mut next = [storm.usr2, storm.hup, storm.resize, storm.kill]
        .map(|every| every.map(|every| (every, began + every)));
    let (mut counts, mut held) = ([0; 4], 0);
    while began.elapsed() < storm.lasts {
        for (number, next) in next.iter_mut().enumerate() {
            let Some((every, at)) = next else { continue };
            if Instant::now() < *at {
                continue;
            }
            *at += *every;
            counts[number] += 1;
            match number {
                0 => server.send(Signal::SIGUSR2),
                1 => {
                    server.configure(&numbered(2, counts[1] + 1));
                    server.send(Signal::SIGHUP);
                }
                // Not fewer than one, and not many more than two.
                2 => server.send(match dice.roll(2) {
                    0 if server.workers().len() < 6 => Signal::SIGTTIN,
                    _ => Signal::SIGTTOU,
                }),
                _ => held += kill_one(&server, &mut dice),
            }
        }
        sleep(Duration::from_millis(10));
    }
    let report = load.stop();
    let seen = format!(
        "{counts:?} times SIGUSR2, SIGHUP, SIGTTIN or SIGTTOU, SIGKILL; the victims held \
         {held} connections\n{report}"
    );
    println!("{seen}");
    assert_eq!(report.refused, 0, "a process always listens; {seen}");
    assert!(report.lost_count <= held as u64, "{seen}\n{}", server.describe());
    assert!(report.answered > 100, "{seen}");
    if storm.hup.is_some() {
        let generations = report.by_pid.len();
        let least = if storm.kill.is_some() { 2 } else { counts[1].div_ceil(2) };
        assert!(
            generations >= least,
            "{generations} configurations served; {seen}"
        );
    }
    if storm.usr2.is_some() {
        let log = server.stdout();
        assert!(log.contains("has taken over"), "{seen}\n{log}");
    }
    assert_same_at_the_end(&server, before);
}

/// Kills a random worker, and returns how many connections it held.
fn kill_one(server: &Server, dice: &mut Dice) -> usize {
    let Some(victim) = dice.pick(&server.workers()) else { return 0 };
    // While it is stopped it accepts nothing: what it holds now is what its death
    // costs.
    victim.signal(Signal::SIGSTOP);
    wait_until_stopped(victim);
    let held = unanswered_connections(victim.pid, server.master().pid);
    victim.signal(Signal::SIGKILL);
    held
}

/// Descriptors and memory in KiB of the master.
fn resources(server: &Server) -> (usize, u64) {
    let master = server.master().pid;
    (fds(master).len(), memory(master))
}

/// The master holds what it held, and everything ends at SIGTERM.
fn assert_same_at_the_end(server: &Server, before: (usize, u64)) {
    let load = server.load(2).run_total(20);
    load.assert_none_lost();
    // One signal at a time: a second one of the same kind, sent before the first is
    // read, is lost (signal(7)).
    loop {
        let wanted = server.settle(|_| true)["wanted"].as_u64().expect("a number");
        let (signal, next) = match wanted {
            0 | 1 => (Signal::SIGTTIN, wanted + 1),
            2 => break,
            _ => (Signal::SIGTTOU, wanted - 1),
        };
        server.send(signal);
        server.settle(|state| state["wanted"] == next);
    }
    eventually("one master is left", SOON, || server.masters().len() == 1);
    eventually("no descriptor is left open", SOON, || {
        fds(server.master().pid).len() == before.0
    });
    let after = resources(server);
    println!(
        "the master's descriptors and KiB: {before:?} before, {after:?} after"
    );
    assert!(after.1 < before.1 + 2048, "{} KiB before, now {}", before.1, after.1);
    let family = server.processes();
    server.send(Signal::SIGTERM);
    assert_all_gone(&family, Some(server.port()), PROMPT);
}
