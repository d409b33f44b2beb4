//! Many clients, slow clients: nobody is kept waiting by another.

mod common;

use std::thread::spawn;
use std::time::{Duration, Instant};

use common::sh::sh;
use common::{
    GET, SOON, WORKER_FDS, answer, connected, memory, only_worker, server,
    server_of, wait_until_full,
};
use nix::libc;
use testkit::{cpu_time, eventually, fds, http};

/// How long anybody may be kept waiting by others.
const AT_ONCE: Duration = Duration::from_secs(1);

/// Lets this process, and what it starts, have `wanted` descriptors; false if the system does not.
fn raise_limit(wanted: libc::rlim_t) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls get a valid pointer to a whole `rlimit`.
    unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_cur.max(wanted.min(limit.rlim_max));
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
    }
    if limit.rlim_cur < wanted {
        common::skipped(&format!("this needs {wanted} descriptors"));
    }
    limit.rlim_cur >= wanted
}

#[test]
fn a_thousand_idle_connections_keep_nobody_waiting() {
    if !raise_limit(4_000) {
        return;
    }
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    let mut idle: Vec<_> = (0..1_000).map(|_| connected(&server, b"")).collect();
    eventually("all are accepted", SOON, || {
        fds(worker).len() == WORKER_FDS + 1_000
    });
    for _ in 0..50 {
        let begun = Instant::now();
        http::get(server.addr()).expect("an answer");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    }
    let memory = memory(worker);
    assert!(
        memory < 24 << 10,
        "1,000 connections that say nothing cost {memory} KiB"
    );
    for client in idle.iter_mut().step_by(100) {
        client.send_raw(GET).expect("to send");
        answer(client);
    }
}

#[test]
fn a_thousand_halves_of_a_request_keep_nobody_waiting() {
    if !raise_limit(4_000) {
        return;
    }
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    let half = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(8_000));
    let slow: Vec<_> =
        (0..1_000).map(|_| connected(&server, half.as_bytes())).collect();
    eventually("all are accepted", SOON, || {
        fds(worker).len() == WORKER_FDS + 1_000
    });
    let begun = Instant::now();
    http::get(server.addr()).expect("an answer");
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    let memory = memory(worker);
    assert!(memory < 64 << 10, "1,000 heads of 8 KB each cost {memory} KiB");
    drop(slow);
}

#[test]
fn one_who_asks_without_pause_and_reads_slowly_keeps_nobody_waiting() {
    const MANY: usize = 30_000;
    let server = server(1, 0);
    let mut client = connected(&server, b"");
    let stream = client.stream().try_clone().expect("a copy");
    let asking = spawn(move || {
        use std::io::Write as _;
        (&stream).write_all(&GET.repeat(MANY))
    });
    answer(&mut client);
    for _ in 0..20 {
        let begun = Instant::now();
        http::get(server.addr()).expect("an answer");
        assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    }
    let memory = memory(only_worker(&server).pid);
    assert!(
        memory < 24 << 10,
        "what it does not read yet is not kept: {memory} KiB"
    );
    for _ in 1..MANY {
        answer(&mut client);
    }
    asking.join().expect("no panic").expect("all were sent");
}

#[test]
fn without_descriptors_a_worker_waits_in_peace_and_serves_later() {
    let script = "ulimit -n 24; exec \"$0\" worker --crash-after 0";
    let [sh, flag, script] = sh(script);
    let server =
        server_of(1, &[sh, flag, script, env!("CARGO_BIN_EXE_ch05-restart")]);
    wait_until_full(&server, 1);
    let worker = only_worker(&server).pid;
    let mut idle: Vec<_> = (0..17).map(|_| connected(&server, b"")).collect();
    eventually("no number is left", SOON, || fds(worker).len() == 24);
    let mut waiting: Vec<_> = (0..20).map(|_| connected(&server, GET)).collect();
    server.wait_for_stderr("cannot accept a connection");
    let before = cpu_time(worker);
    assert!(
        !waiting[0].is_closed_within(Duration::from_secs(1)),
        "it waits in the listener"
    );
    let spent = cpu_time(worker) - before;
    assert!(
        spent < Duration::from_millis(200),
        "{spent:?} of CPU in a second of waiting"
    );
    idle[0].send_raw(GET).expect("to send");
    answer(&mut idle[0]);
    drop(idle);
    for client in &mut waiting {
        assert_eq!(
            answer(client).1,
            worker,
            "served by and by, as numbers get free"
        );
        // The next one needs the number.
        client.shutdown_write().expect("to end our side");
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
    eventually("all are accepted", SOON, || {
        fds(worker).len() == WORKER_FDS + 4_096
    });
    let mut waiting: Vec<_> = (0..100).map(|_| connected(&server, GET)).collect();
    let before = cpu_time(worker);
    assert!(
        !waiting[0].is_closed_within(Duration::from_secs(1)),
        "it waits in the listener"
    );
    assert!(cpu_time(worker) - before < Duration::from_millis(200), "no busy loop");
    assert_eq!(fds(worker).len(), WORKER_FDS + 4_096, "not one more");
    idle.drain(..200);
    for client in &mut waiting {
        answer(client);
    }
}
