//! The three ways of sharing a port: who gets the connections, and what a worker's
//! death costs.

mod common;

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use ch02_balance::Received;
use common::{
    GET, SHARINGS, SOON, alone, kept, load, pid, program, server, serving,
};
use serde_json::json;
use testkit::http::{self, Client};
use testkit::load::Kind;
use testkit::{Process, Running, Signal, assert_all_gone, cpu_time, eventually};

#[test]
fn round_robin_spreads_1000_long_connections_with_one_apart_at_most() {
    let server = server(4, "round-robin", &[]);
    let mut clients: Vec<Client> = Vec::new();
    let mut count: BTreeMap<i32, i32> = BTreeMap::new();
    for _ in 0..1000 {
        let mut client = Client::connect(server.addr()).expect("to connect");
        client.send_raw(GET).expect("to send");
        clients.push(client);
    }
    for client in &mut clients {
        *count.entry(pid(client.read_response())).or_default() += 1;
    }
    assert_eq!(count.len(), 4);
    assert!(count.values().all(|&it| it == 250), "{count:?}");
}

/// Each gets 16 in turn, as long as none is busy.
#[test]
fn shared_spreads_long_connections_too() {
    let server = server(4, "shared", &[]);
    eventually("all workers serve", SOON, || serving(&server).len() == 4);
    let mut count: BTreeMap<i32, i32> = BTreeMap::new();
    let _clients: Vec<Client> = (0..256)
        .map(|_| {
            let mut client = Client::connect(server.addr()).expect("to connect");
            *count.entry(pid(client.get("/"))).or_default() += 1;
            client
        })
        .collect();
    assert_eq!(count.len(), 4, "{count:?}");
    assert!(count.values().all(|&it| it >= 40), "{count:?}");
}

/// A connection wakes one worker. It must not be one that has no room, is stopped, or
/// drains.
#[test]
fn no_connection_waits_for_a_worker_that_cannot_accept() {
    let server = server(3, "shared", &["--max-connections", "2"]);
    let mut kept_open: Vec<Client> = Vec::new();
    // All places but the last are taken, whichever workers have them.
    for _ in 0..5 {
        kept_open.push(kept(server.addr()));
    }
    for _ in 0..20 {
        let began = Instant::now();
        drop(kept(server.addr()));
        assert!(began.elapsed() < Duration::from_secs(2), "it waited for long");
    }
    drop(kept_open);
    let stopped = Process::of(*serving(&server).first().expect("a worker"));
    let stopped = stopped.expect("it lives");
    stopped.signal(Signal::SIGSTOP);
    for _ in 0..20 {
        let began = Instant::now();
        assert_ne!(pid(http::get(server.addr())), stopped.pid);
        assert!(began.elapsed() < Duration::from_secs(2), "it waited for long");
    }
    stopped.signal(Signal::SIGCONT);
}

/// The kernel's choice, so no exact numbers: none is left out.
#[test]
fn with_reuseport_every_worker_gets_some() {
    let server = server(3, "reuseport", &[]);
    let report = load(&server, 4, Kind::HttpClose).run_total(300);
    report.assert_none_lost();
    assert_eq!(report.by_pid.len(), 3, "{report}");
    assert!(report.by_pid.values().all(|&it| it > 40), "{report}");
}

#[test]
fn every_way_heals_and_loses_what_the_victims_held_and_nothing_else() {
    thread::scope(|scope| {
        for sharing in SHARINGS {
            scope.spawn(move || kills(sharing));
        }
    });
}

fn kills(sharing: &str) {
    let server = server(2, sharing, &[]);
    let background = load(&server, 4, Kind::HttpClose).start();
    let mut held = 0;
    for _ in 0..3 {
        background.wait_for_more(50, SOON);
        let before = serving(&server);
        let victim =
            Process::of(*before.first().expect("a worker")).expect("it lives");
        // While it is stopped it accepts nothing: what it holds now is what its death
        // costs.
        victim.signal(Signal::SIGSTOP);
        thread::sleep(Duration::from_millis(5));
        held += testkit::fds(victim.pid)
            .iter()
            .filter(|(_, what)| what.starts_with("socket:"))
            .count() as u64;
        victim.signal(Signal::SIGKILL);
        eventually("it is replaced", SOON, || {
            let now = serving(&server);
            now.len() == 2 && !now.is_subset(&before)
        });
    }
    let report = background.stop();
    assert_eq!(report.refused, 0, "{sharing}: {report}");
    // Among a worker's sockets are its channel and its listener.
    assert!(report.lost_count <= held, "{sharing}: {held} held, {report}");
    assert!(report.by_pid.len() >= 3, "{sharing}: {report}");
}

/// What waits in the queue of a worker that is killed is answered by another one.
#[test]
fn what_waits_in_a_dead_workers_queue_is_not_lost() {
    let server = server(2, "reuseport", &[]);
    let workers = serving(&server);
    let each = |signal| {
        for pid in &workers {
            Process::of(*pid).map(|it| it.signal(signal));
        }
    };
    each(Signal::SIGSTOP);
    let mut clients: Vec<Client> = (0..50)
        .map(|_| {
            let mut client = Client::connect(server.addr()).expect("to connect");
            client.send_raw(GET).expect("to send");
            client
        })
        .collect();
    each(Signal::SIGKILL);
    for client in &mut clients {
        assert!(!workers.contains(&pid(client.read_response())));
    }
}

/// A server that nohup(1) has started can be reloaded, too.
#[test]
fn nohup_does_not_stop_a_reload() {
    let server = testkit::Program::new("nohup")
        .args([env!("CARGO_BIN_EXE_ch07-cluster"), "--port", "0", "--workers", "1"])
        .start();
    server.wait_for_line("is ready");
    server.signal(Signal::SIGHUP);
    server.wait_for_line("reload: done");
}

fn stop(server: &Running, signal: Signal) {
    let processes = server.processes();
    server.signal(signal);
    assert_eq!(server.wait(SOON).code(), Some(0));
    assert_all_gone(&processes, Some(server.port()), Duration::from_millis(2_500));
}

#[test]
fn a_reload_and_more_and_fewer_workers_lose_nothing() {
    thread::scope(|scope| {
        for sharing in SHARINGS {
            scope.spawn(move || changes(sharing));
        }
    });
}

fn changes(sharing: &str) {
    let server = server(2, sharing, &[]);
    let background = load(&server, 4, Kind::HttpClose).start();
    let mut idle = kept(server.addr());
    for (signal, workers) in [
        (Signal::SIGTTIN, 3),
        (Signal::SIGHUP, 3),
        (Signal::SIGTTOU, 2),
        (Signal::SIGTTOU, 1),
    ] {
        let before = serving(&server);
        server.signal(signal);
        eventually(&format!("{signal}: {workers} workers"), SOON, || {
            let now = serving(&server);
            let is_new = signal != Signal::SIGHUP || now.is_disjoint(&before);
            now.len() == workers && is_new
        });
        background.wait_for_more(50, SOON);
    }
    pid(idle.get("/"));
    background.stop().assert_none_lost();
    stop(&server, Signal::SIGTERM);
    assert!(server.stderr().is_empty(), "{}", server.stderr());
}

/// Every process gets SIGTERM, as from `timeout`, or from a terminal that closes.
#[test]
fn sigterm_to_all_answers_what_has_come_in() {
    for sharing in SHARINGS {
        let server = server(2, sharing, &[]);
        let mut open: Vec<Client> = (0..10).map(|_| kept(server.addr())).collect();
        for client in &mut open {
            client.send_raw(&GET[..9]).expect("to send");
        }
        let mut waiting = Client::connect(server.addr()).expect("to connect");
        waiting.send_raw(GET).expect("to send");
        let processes = server.processes();
        for process in server.children() {
            process.signal(Signal::SIGTERM);
        }
        server.signal(Signal::SIGTERM);
        for client in &mut open {
            client.send_raw(&GET[9..]).expect("to send");
            pid(client.read_response());
        }
        pid(waiting.read_response());
        drop((open, waiting));
        assert_eq!(server.wait(SOON).code(), Some(0), "{sharing}");
        assert_all_gone(
            &processes,
            Some(server.port()),
            Duration::from_millis(2_500),
        );
    }
}

#[test]
fn when_the_primary_is_killed_nothing_is_left() {
    let server = server(2, "round-robin", &[]);
    let _idle = kept(server.addr());
    let processes = server.processes();
    server.signal(Signal::SIGKILL);
    assert_all_gone(&processes, Some(server.port()), Duration::from_millis(2_500));
}

/// With 24 descriptors a worker can always be started again.
#[test]
fn few_descriptors_are_no_outage() {
    for sharing in SHARINGS {
        let server = testkit::Program::new("bash")
            .args(["-c", r#"ulimit -n 24; exec "$@""#, "bash"])
            .args([
                env!("CARGO_BIN_EXE_ch07-cluster"),
                "--port",
                "0",
                "--workers",
                "2",
            ])
            .args(["--sharing", sharing])
            .start();
        server.wait_for_lines("is ready", 2);
        let background = load(&server, 30, Kind::HttpKeepAlive).start();
        for _ in 0..3 {
            background.wait_for_more(30, SOON);
            let before = serving(&server);
            let victim = *before.first().expect("a worker");
            Process::of(victim).map(|it| it.signal(Signal::SIGKILL));
            eventually("it is replaced", SOON, || {
                let now = serving(&server);
                now.len() == 2 && !now.contains(&victim)
            });
        }
        background.wait_for_more(30, SOON);
        drop(background);
        pid(http::get(server.addr()));
    }
}

/// A parent in Node numbers nothing. A worker may get several listeners all the same.
#[test]
fn a_worker_can_have_several_listeners() {
    let mut worker = alone(&[]);
    let mut addrs = vec![worker.addr];
    for _ in 0..3 {
        let another = TcpListener::bind("127.0.0.1:0").expect("a port");
        addrs.push(another.local_addr().expect("an address"));
        let sent = worker.channel.send_handle(
            "net.Server",
            json!("server"),
            another.into(),
        );
        sent.expect("to send");
        assert!(matches!(worker.next(), Received::Acked));
    }
    let before = cpu_time(worker.worker.pid());
    for addr in addrs.iter().cycle().take(40) {
        assert_eq!(pid(http::get(*addr)), worker.worker.pid());
    }
    thread::sleep(Duration::from_millis(300));
    let used = cpu_time(worker.worker.pid()) - before;
    assert!(used < Duration::from_millis(150), "a busy loop: {used:?}");
}

/// A full worker does not watch its listener. It does so again once there is room.
#[test]
fn a_full_worker_accepts_what_waits_once_a_connection_is_closed() {
    for sharing in SHARINGS {
        let server = server(1, sharing, &["--max-connections", "3"]);
        let mut kept_open: Vec<Client> =
            (0..3).map(|_| kept(server.addr())).collect();
        let mut waiting = Client::connect(server.addr()).expect("to connect");
        waiting.send_raw(GET).expect("to send");
        let is_early = waiting.is_closed_within(Duration::from_millis(30));
        assert!(!is_early, "{sharing}: it waits");
        kept_open.pop();
        pid(waiting.read_response());
    }
}

#[test]
fn a_server_whose_workers_crash_early_pauses_and_recovers() {
    let server = server(1, "shared", &["--demo"]);
    eventually("three workers have crashed early", SOON, || {
        if let Ok(mut client) = Client::connect(server.addr()) {
            let _ = client.get("/abort");
        }
        server.stdout().contains("has crashed early: pause, 400 ms")
    });
    pid(http::get(server.addr()));
}

#[test]
fn a_wrong_command_line_is_refused_with_the_reason() {
    let refused = |arguments: &[&str], code, reason: &str| {
        let output = program().args(arguments).output();
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(output.stderr.contains(reason), "{output:?}");
    };
    refused(&["--workers", "0"], 2, "--workers");
    let poll = ["--poll", "--sharing", "round-robin"];
    refused(&poll, 2, "--sharing shared only");
    refused(&["--sharing", "fair"], 2, "'fair' is not shared");
    refused(&["worker"], 1, "NODE_CHANNEL_FD");
    let output = program().arg("worker").output();
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
}

/// The same program with chapter 5's workers.
#[test]
fn the_handler_runs_on_both_workers() {
    for arguments in [&["--poll"][..], &[]] {
        let server = server(2, "shared", arguments);
        load(&server, 4, Kind::HttpKeepAlive).run_total(200).assert_none_lost();
        server.signal(Signal::SIGHUP);
        server.wait_for_line("reload: done");
        pid(http::get(server.addr()));
        stop(&server, Signal::SIGTERM);
    }
}
