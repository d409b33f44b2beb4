//! The end of the master, and of all processes that it started.

mod common;

use std::time::Duration;

use common::{
    HALF, SOON, accepted, connected, load, only_worker, response, server, signal,
    signal_all, wait_until_full,
};
use testkit::{Program, Signal, assert_all_gone, eventually, http};

/// For a master whose clients are prompt, and for its workers when it is killed.
const PROMPT: Duration = Duration::from_millis(2_500);

#[test]
fn an_open_connection_is_answered_before_the_master_exits() {
    for asked in [Signal::SIGTERM, Signal::SIGINT] {
        let server = server(1, 0);
        let mut client = accepted(&server, HALF[0]);
        let (family, port) = (server.processes(), server.port());
        server.signal(asked);
        server.wait_for_line(&format!("got {asked}"));
        client.send_raw(HALF[1]).expect("the rest of the request");
        response(&mut client);
        drop(client);
        assert_eq!(server.wait(PROMPT).code(), Some(0), "{}", server.describe());
        assert_all_gone(&family, Some(port), PROMPT);
        assert_eq!(server.stderr(), "", "nothing to complain of");
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for [first, second] in [
        [Signal::SIGTERM; 2],
        [Signal::SIGINT; 2],
        [Signal::SIGINT, Signal::SIGTERM],
    ] {
        let server = server(2, 0);
        let _slow = connected(&server, HALF[0]);
        signal_all(&server, Signal::SIGSTOP);
        let (family, port) = (server.processes(), server.port());
        server.signal(first);
        server.wait_for_line(&format!("got {first}"));
        assert!(server.stdout().contains("once more: end at once"));
        assert!(server.try_wait().is_none(), "it waits for its workers");
        // Two signals at the same moment are one request: timeout(1) sends two.
        std::thread::sleep(Duration::from_millis(50));
        server.signal(second);
        assert_eq!(server.wait(PROMPT).code(), Some(1), "clients were cut off");
        assert_all_gone(&family, Some(port), PROMPT);
    }
}

#[test]
fn a_stopping_server_accepts_no_connection() {
    let server = server(1, 0);
    let _slow = accepted(&server, HALF[0]);
    server.signal(Signal::SIGTERM);
    let worker = server.children()[0];
    eventually("the listener is closed in every process", SOON, || {
        let refused = std::io::ErrorKind::ConnectionRefused;
        http::get(server.addr()).is_err_and(|error| error.kind() == refused)
    });
    assert!(worker.alive(), "though a worker drains still");
}

#[test]
fn when_the_master_is_killed_its_workers_answer_for_a_second() {
    let server = server(1, 0);
    let mut client = accepted(&server, HALF[0]);
    let (family, port) = (server.processes(), server.port());
    server.signal(Signal::SIGKILL);
    client.send_raw(HALF[1]).expect("the rest of the request");
    response(&mut client);
    assert_all_gone(&family, Some(port), PROMPT);
}

#[test]
fn in_the_middle_of_load_nothing_is_left_behind() {
    for end in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        for crash_after in [1, 50] {
            let server = server(2, crash_after);
            let port = server.port();
            let background = load(&server, 8).start();
            background.wait_for_more(100, SOON);
            server.signal(end);
            let code = server.wait(PROMPT).code();
            let expected = if end == Signal::SIGKILL { None } else { Some(0) };
            assert_eq!(code, expected, "{end}: {}", server.describe());
            // Found by what they inherited: orphans too, whenever they were
            // started.
            assert_all_gone(&server.processes(), Some(port), PROMPT);
            drop(background);
        }
    }
}

/// At the end of a healthy server there is nothing to complain of: no "Broken pipe"
/// from a worker, and no SIGKILL for a worker that has exited.
#[test]
fn a_stop_is_quiet() {
    for _ in 0..5 {
        let server = server(4, 0);
        http::get(server.addr()).expect("a response");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait(PROMPT).code(), Some(0));
        assert_eq!(server.stderr(), "");
        let log = server.stdout();
        assert_eq!(log.matches("exited with code 0").count(), 4, "{log}");
    }
}

/// As above, and slowly.
#[test]
fn a_stop_under_strace_is_quiet() {
    if !common::installed("strace") || !common::can_trace() {
        return;
    }
    let arguments =
        ["-f", "-qq", "-o", "/dev/null", common::PROGRAM, "--port", "0"];
    for _ in 0..2 {
        let server = Program::new("strace")
            .args(arguments)
            .args(["--workers", "4", "--crash-after", "0"])
            .start();
        wait_until_full(&server, 4);
        let master = server.children()[0];
        signal(master, Signal::SIGTERM);
        server.wait(SOON);
        assert_eq!(server.stderr(), "");
        let log = server.stdout();
        assert_eq!(log.matches("exited with code 0").count(), 4, "{log}");
    }
}

/// Only the kernel can wake a stopped worker when its master dies.
#[test]
fn a_stopped_worker_does_not_outlive_a_master_in_a_session_of_its_own() {
    let arguments = ["-w", common::PROGRAM, "--port", "0", "--workers", "1"];
    let session = Program::new("setsid").args(arguments).start();
    wait_until_full(&session, 1);
    let worker = only_worker(&session);
    let port = session.port();
    let master = session.descendants().into_iter().find(|it| *it != worker);
    signal(worker, Signal::SIGSTOP);
    signal(master.unwrap_or(session.process()), Signal::SIGKILL);
    assert_all_gone(&[worker], Some(port), PROMPT);
}
