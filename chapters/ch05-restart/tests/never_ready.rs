//! Workers that end, or wait for ever, before they are ready.

mod common;

use std::fs;
use std::time::Duration;

use common::sh::sh;
use common::{SOON, server_of};
use testkit::{Running, Signal, cpu_time, http, temp_dir};

/// The pauses that the master has told of, in milliseconds.
fn pauses(server: &Running) -> Vec<u64> {
    let text = server.stdout();
    let told =
        text.lines().filter_map(|line| line.split_once("the next one starts in "));
    told.map(|(_, rest)| rest.trim_end_matches(" ms").parse().expect("a number"))
        .collect()
}

#[test]
fn the_pauses_grow_and_are_told() {
    let servers = [&["false"][..], &["/no/such/program"], &sh("kill -9 $$")];
    let servers = servers.map(|exec| server_of(2, exec));
    for server in &servers {
        server.wait_for_line("the next one starts in 1600 ms");
        assert_eq!(
            pauses(server)[..5],
            [100, 200, 400, 800, 1600],
            "{}",
            server.stdout()
        );
        let starts = server.stdout().matches(" started").count();
        assert!(
            starts <= 2 * 5,
            "two at each of five times, not {starts}\n{}",
            server.stdout()
        );
        let spent = cpu_time(server.pid());
        assert!(
            spent < Duration::from_millis(700),
            "{spent:?} of CPU to do nothing in 1.5 s"
        );
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
    let script = format!(
        "test -e {}/go || exit 3; exec {} worker --crash-after 1",
        dir.path().display(),
        env!("CARGO_BIN_EXE_ch05-restart")
    );
    let server = server_of(1, &sh(&script));
    server.wait_for_line("the next one starts in 200 ms");
    let waiting = testkit::http::Client::connect(server.addr());
    let mut waiting = waiting.expect("the kernel accepts, whoever serves");
    waiting.send_raw(common::GET).expect("to send");
    fs::write(dir.path().join("go"), "").expect("to write");
    waiting
        .read_response()
        .expect("whoever waited in the listener is answered in the end");
    server.wait_for_lines("is ready", 2);
    let before = pauses(&server).len();
    for _ in 0..20 {
        http::get(server.addr()).expect("an answer");
    }
    assert_eq!(
        pauses(&server).len(),
        before,
        "20 crashes of workers that were ready: no pause"
    );
    server.wait_for_lines("is ready", 22);
    fs::remove_file(dir.path().join("go")).expect("to remove");
    http::get(server.addr()).expect("the one that is ready answers");
    server.wait_for_lines("the next one starts in 100 ms", 2);
}

#[test]
fn one_that_cannot_take_the_listener_is_told_of() {
    // 0, 1, 2 and the two ends of the signal pipe: no number is left for the listener.
    let script = "ulimit -n 5; exec \"$0\" worker";
    let server =
        server_of(1, &["sh", "-c", script, env!("CARGO_BIN_EXE_ch05-restart")]);
    let told = server.wait_for_stderr("cannot take a handle");
    assert!(told.starts_with("worker "), "it says which: {told}");
    server.wait_for_stderr("the listener was lost on its way here");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(SOON).code(), Some(0));
}

#[test]
fn one_that_only_sleeps_is_ended_with_its_master() {
    let server = server_of(2, &["sleep", "1000"]);
    server.wait_for_lines(" started", 2);
    let (family, port) = (server.processes(), server.port());
    server.signal(Signal::SIGKILL);
    testkit::assert_all_gone(&family, Some(port), Duration::from_secs(2));
}
