//! Workers that never get ready: the pauses between starts, and what ends them.

mod common;

use std::fs;
use std::time::Duration;

use common::sh::{python_server, sh};
use common::{GET, PROGRAM, SOON, connected, response, server_of, wait_until_full};
use testkit::{Program, Running, Signal, cpu_time, http, temp_dir};

/// The pauses that the log tells of, in milliseconds.
fn pauses(server: &Running) -> Vec<u64> {
    let log = server.stdout();
    let told =
        log.lines().filter_map(|line| line.split("the next one starts in ").nth(1));
    told.map(|rest| rest.trim_end_matches(" ms").parse().expect("a number"))
        .collect()
}

#[test]
fn the_pauses_grow_and_are_told() {
    let servers = [&["false"][..], &["/no/such/program"], &sh("kill -9 $$")];
    let servers = servers.map(|exec| server_of(2, exec));
    for server in &servers {
        server.wait_for_line("the next one starts in 1600 ms");
        assert_eq!(pauses(server)[..5], [100, 200, 400, 800, 1600]);
        let starts = server.stdout().matches(" started").count();
        assert!(starts <= 2 * 5, "{starts} starts\n{}", server.stdout());
        let spent = cpu_time(server.pid());
        assert!(spent < Duration::from_millis(700), "{spent:?} of CPU");
    }
    let told = servers[1].wait_for_stderr("cannot start");
    assert!(told.contains("/no/such/program: No such file or directory"), "{told}");
    for server in &servers {
        server.signal(Signal::SIGTERM);
        assert_eq!(
            server.wait(SOON).code(),
            Some(0),
            "in a pause, it ends at once"
        );
    }
}

#[test]
fn once_a_worker_gets_ready_there_are_no_more_pauses() {
    let dir = temp_dir();
    let go = dir.path().join("go");
    let exec = format!("exec {PROGRAM} worker --crash-after 1");
    let script = format!("test -e {} || exit 3; {exec}", go.display());
    let server = server_of(1, &sh(&script));
    server.wait_for_line("the next one starts in 200 ms");
    let mut waiting = connected(&server, GET);
    fs::write(&go, "").expect("to write");
    response(&mut waiting);
    server.wait_for_lines("is ready", 2);
    let before = pauses(&server).len();
    for _ in 0..20 {
        http::get(server.addr()).expect("a response");
    }
    assert_eq!(
        pauses(&server).len(),
        before,
        "20 crashes of ready workers: no pause"
    );
    server.wait_for_lines("is ready", 22);
    fs::remove_file(&go).expect("to remove");
    http::get(server.addr()).expect("the worker that is ready answers");
    server.wait_for_lines("the next one starts in 100 ms", 2);
}

/// It says so three times (NACK), and then the master kills it: without a listener
/// it is of no use, and a worker that could not take its listener never gets ready.
#[test]
fn a_worker_that_cannot_take_its_listener_is_replaced() {
    // 0, 1, 2 and the two ends of the signal pipe: no number is left for the
    // listener.
    let script = "ulimit -n 5; exec \"$0\" worker";
    let server = server_of(1, &["sh", "-c", script, PROGRAM]);
    server.wait_for_stderr("without its descriptor");
    server.wait_for_line("was killed by SIGKILL");
    server.wait_for_line("the next one starts in 200 ms");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(SOON).code(), Some(0));
}

/// A channel that fails is not a worker that fails: only before it has its
/// listener.
#[test]
fn a_worker_that_closes_its_channel_goes_on_if_it_is_ready() {
    let early = "channel.close(); time.sleep(1000)";
    let Some(server) = python_server(1, early) else { return };
    server.wait_for_line("was killed by SIGKILL");
    server.wait_for_line("the next one starts in 100 ms");

    let late = "listener = take(); channel.close(); serve(listener)";
    let Some(server) = python_server(1, late) else { return };
    wait_until_full(&server, 1);
    let worker = server.children();
    for _ in 0..5 {
        http::get(server.addr()).expect("a response");
    }
    assert_eq!(server.children(), worker, "it was left alone");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(SOON).code(), Some(0));
}

#[test]
fn a_program_that_only_sleeps_ends_with_its_master() {
    let server = server_of(2, &["sleep", "1000"]);
    server.wait_for_lines(" started", 2);
    let (family, port) = (server.processes(), server.port());
    server.signal(Signal::SIGKILL);
    testkit::assert_all_gone(&family, Some(port), Duration::from_millis(2_500));
}

/// A master with few descriptors says what it cannot do, and goes on if it can.
#[test]
fn without_descriptors_the_master_says_what_it_cannot_do() {
    for (limit, told) in [
        (4, "cannot handle signals: Too many open files"),
        (5, "cannot listen on 127.0.0.1:0: Too many open files"),
        (6, "cannot start"),
        (7, "cannot start"),
    ] {
        let script =
            format!("ulimit -n {limit}; exec {PROGRAM} --port 0 --workers 1");
        let server = Program::new("sh").args(["-c", &script]).start();
        server.wait_for_stderr(told);
        if limit < 6 {
            assert_eq!(server.wait(SOON).code(), Some(1), "{limit} descriptors");
            assert_eq!(server.stderr().lines().count(), 1, "{}", server.stderr());
        } else {
            server.wait_for_line("the next one starts in 100 ms");
        }
    }
}
