//! Many clients and slow clients: none is kept waiting by another, and no deadline
//! is exceeded.

mod common;

use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use common::sh::{python_server, sh};
use common::{
    BUSY, GET, HALF, PROGRAM, SOON, WORKER_FDS, accepted, connected, memory,
    only_worker, response, server, server_of, signal, signal_all, wait_until_full,
};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use testkit::http::{self, Client};
use testkit::{
    Running, Signal, assert_all_gone, cpu_time, eventually, fds, try_eventually,
};

const SECOND: Duration = Duration::from_secs(1);

/// Lets this process have `wanted` descriptors; false if the system does not allow
/// it.
fn raise_limit(wanted: u64) -> bool {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    let soft = soft.max(wanted.min(hard));
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("to raise it");
    if soft < wanted {
        common::skipped(&format!("this needs {wanted} descriptors"));
    }
    soft >= wanted
}

/// Opens many connections that send `bytes`, and asks something while they are
/// open.
fn many(count: usize, bytes: &[u8], most_memory: u64) {
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    let mut open: Vec<_> = (0..count).map(|_| connected(&server, bytes)).collect();
    eventually("all are accepted", SOON, || {
        fds(worker).len() == WORKER_FDS + count
    });
    for _ in 0..20 {
        let began = Instant::now();
        http::get(server.addr()).expect("a response");
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    }
    let memory = memory(worker);
    assert!(memory < most_memory, "{count} connections take {memory} KiB");
    if bytes.is_empty() {
        for client in open.iter_mut().step_by(100) {
            client.send_raw(GET).expect("to send");
            response(client);
        }
    }
}

#[test]
fn a_thousand_idle_connections_keep_no_client_waiting() {
    if raise_limit(4_000) {
        many(1_000, b"", 24 << 10);
    }
}

#[test]
fn a_thousand_halves_of_a_request_keep_no_client_waiting() {
    let half = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(8_000));
    if raise_limit(4_000) {
        many(1_000, half.as_bytes(), 64 << 10);
    }
}

#[test]
fn without_descriptors_a_worker_pauses_and_accepts_later() {
    let script = "ulimit -n 24; exec \"$0\" worker --crash-after 0";
    let [shell, flag, script] = sh(script);
    let server = server_of(1, &[shell, flag, script, PROGRAM]);
    wait_until_full(&server, 1);
    let worker = only_worker(&server).pid;
    let mut idle: Vec<_> = (0..17).map(|_| connected(&server, b"")).collect();
    eventually("no descriptor is left", SOON, || fds(worker).len() == 24);
    let mut waiting: Vec<_> = (0..20).map(|_| connected(&server, GET)).collect();
    server.wait_for_stderr("cannot accept a connection: Too many open files");
    let before = cpu_time(worker);
    assert!(!waiting[0].is_closed_within(SECOND), "it waits in the backlog");
    let spent = cpu_time(worker) - before;
    assert!(spent < SECOND / 5, "{spent:?} of CPU in a second of waiting");
    let lines = server.stderr().lines().count();
    assert!(lines < 40, "{lines} lines about it");
    idle[0].send_raw(GET).expect("to send");
    response(&mut idle[0]);
    drop(idle);
    for client in &mut waiting {
        assert_eq!(response(client).1, worker, "served as descriptors get free");
        client.shutdown_write().expect("to shut down");
    }
}

#[test]
#[ignore = "needs 10,000 descriptors, a release build and a machine that is not busy"]
fn a_worker_has_4096_connections_at_most_and_serves_the_others_later() {
    if !raise_limit(10_000) {
        return;
    }
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    let mut idle: Vec<_> = (0..4_096).map(|_| connected(&server, b"")).collect();
    let full = || count_fds(worker) == WORKER_FDS + 4_096;
    eventually("all are accepted", SOON, || {
        sleep(SECOND / 5);
        full()
    });
    let mut waiting: Vec<_> = (0..100).map(|_| connected(&server, GET)).collect();
    let before = cpu_time(worker);
    assert!(!waiting[0].is_closed_within(SECOND), "it waits in the backlog");
    assert!(cpu_time(worker) - before < SECOND / 5, "no busy loop");
    assert!(full(), "not one more");
    idle.drain(..200);
    for client in &mut waiting {
        response(client);
    }
}

/// As `fds(pid).len()`, for many: it does not ask what each of them is.
fn count_fds(pid: i32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// Replace first: the successor starts before the old worker has exited.
#[test]
fn while_a_slow_client_holds_an_old_worker_no_other_client_waits() {
    let server = server(1, 0);
    let mut slow = accepted(&server, HALF[0]);
    let old = replaced(&server);
    for _ in 0..10 {
        let began = Instant::now();
        let response = http::get(server.addr()).expect("the replacement serves");
        assert_ne!(testkit::pid_in(&response.body), Some(old), "{response:?}");
        assert!(began.elapsed() < SECOND, "{:?}", began.elapsed());
    }
    slow.send_raw(HALF[1]).expect("the other half");
    assert_eq!(response(&mut slow).1, old);
}

#[test]
#[ignore = "takes 5 s"]
fn a_slow_client_holds_an_old_worker_for_5_s() {
    let server = server(1, 0);
    let mut slow = accepted(&server, HALF[0]);
    let old = replaced(&server);
    assert!(!slow.is_closed_within(9 * SECOND / 2), "5 s, not less");
    assert!(slow.is_closed_within(SECOND / 2 + BUSY), "after 5 s it is given up");
    server.wait_for_line(&format!("worker {old} exited with code 0"));
}

/// Sends SIGTERM to the only worker, and returns once it drains.
fn replaced(server: &Running) -> i32 {
    let old = only_worker(server);
    signal(old, Signal::SIGTERM);
    server.wait_for_line(&format!("worker {} drains", old.pid));
    old.pid
}

#[test]
fn at_most_2n_plus_8_workers_run_and_the_log_says_so_once() {
    let server = server(1, 1);
    let full = "10 workers run: none starts before another one exits";
    let mut slow: Vec<Client> = Vec::new();
    // Each client holds its worker for 5 s: on a busy machine, the first workers
    // exit before the tenth has started.
    while !server.stdout().contains(full) {
        wait_until_full(&server, 1);
        slow.push(accepted(&server, HALF[0]));
        http::get(server.addr()).expect("a response, and then a panic");
        assert!(slow.len() < 200, "{}", server.describe());
        eventually("a replacement, or none", SOON, || {
            let log = server.stdout();
            log.contains(full) || log.matches(" started").count() > slow.len()
        });
    }
    let mut waiting = connected(&server, GET);
    assert!(server.children().len() <= 10, "not one more");
    // As soon as a worker exits, there is room.
    for client in &mut slow {
        let _ = client.send_raw(HALF[1]);
    }
    response(&mut waiting);
    assert_eq!(server.stdout().matches("10 workers run").count(), 1);
}

#[test]
#[ignore = "takes 11 s"]
fn a_client_has_10_s_for_its_request() {
    let server = server(1, 0);
    let mut half = connected(&server, HALF[0]);
    let mut drips = connected(&server, b"GET / HTTP/1.1\r\nX: ");
    let dripping = spawn(move || {
        // A byte now and then is no whole head.
        let mut cut =
            || drips.send_raw(b"y").is_err() || drips.is_closed_within(SECOND / 5);
        try_eventually(SOON, || cut().then_some(()))
    });
    let mut silent = connected(&server, b"");
    assert!(!silent.is_closed_within(9 * SECOND), "10 s, not less");
    assert!(silent.is_closed_within(SECOND + BUSY), "it never sent anything");
    let response = half.read_response().expect("as in Node");
    assert_eq!(response.status, 408, "half a request");
    assert!(dripping.join().expect("no panic").is_some(), "a byte now and then");
}

/// A server that is asked to stop, and a client that does not let it.
struct Case {
    what: &'static str,
    server: Running,
    _client: Option<Client>,
}

fn case(what: &'static str, server: Running, client: Option<Client>) -> Case {
    Case { what, server, _client: client }
}

#[test]
fn a_stop_takes_6_s_at_most_whatever_clients_and_workers_do() {
    let mut cases = Vec::new();
    let half = server(1, 0);
    let client = accepted(&half, HALF[0]);
    cases.push(case("a client that never finishes", half, Some(client)));
    let keeps = server(1, 0);
    let client = accepted(&keeps, b"");
    cases.push(case("a client that only waits", keeps, Some(client)));
    let stopped = server(2, 0);
    signal_all(&stopped, Signal::SIGSTOP);
    cases.push(case("stopped workers", stopped, None));
    // An ignored signal stays ignored across exec.
    let deaf = server_of(2, &sh("trap '' TERM; echo deaf; exec sleep 1000"));
    deaf.wait_for_lines("deaf", 2);
    cases.push(case("workers that never get ready and ignore SIGTERM", deaf, None));
    let plain = server_of(2, &["sleep", "1000"]);
    plain.wait_for_lines("started", 2);
    cases.push(case("workers that never get ready", plain, None));
    let stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
                    listener = take(); channel.close(); serve(listener)";
    if let Some(server) = python_server(2, stubborn) {
        wait_until_full(&server, 2);
        cases.push(case("workers that serve and ignore SIGTERM", server, None));
    }

    let families: Vec<_> =
        cases.iter().map(|case| case.server.processes()).collect();
    for (number, case) in cases.iter().enumerate() {
        let asked = if number % 2 == 0 { Signal::SIGTERM } else { Signal::SIGINT };
        case.server.signal(asked);
    }
    let began = Instant::now();
    for (case, family) in cases.iter().zip(families) {
        let left = (6 * SECOND + BUSY).saturating_sub(began.elapsed());
        let exited = try_eventually(left, || case.server.try_wait());
        let exited = exited
            .unwrap_or_else(|| panic!("still there after 6 s: {}", case.what));
        assert_eq!(
            exited.code(),
            Some(0),
            "{}: {}",
            case.what,
            case.server.describe()
        );
        assert_all_gone(&family, Some(case.server.port()), SECOND + BUSY);
    }
}

#[test]
fn a_killed_masters_workers_exit_within_2_s_whatever_their_clients_do() {
    let server = server(2, 0);
    let slow: Vec<_> = (0..4).map(|_| connected(&server, HALF[0])).collect();
    sleep(SECOND / 10);
    let (family, port) = (server.processes(), server.port());
    server.signal(Signal::SIGKILL);
    assert_all_gone(&family, Some(port), 2 * SECOND);
    drop(slow);
}
