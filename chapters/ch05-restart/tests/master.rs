//! The end of the master, and of all that came of it.

mod common;

use std::time::Duration;

use common::{
    GET, SOON, accepted, answer, closing, connected, keeping, says_close, server,
    signal,
};
use testkit::{Program, Signal, assert_all_gone, http};

/// For a master whose clients are prompt, and for its workers when it is killed.
const PROMPT: Duration = Duration::from_secs(2);

#[test]
fn a_request_that_is_under_way_is_answered_before_the_master_ends() {
    for asked in [Signal::SIGTERM, Signal::SIGINT] {
        let server = server(1, 0);
        let mut client = accepted(&server, b"GET / HTTP/1.1\r\nHo");
        let (family, port) = (server.processes(), server.port());
        server.signal(asked);
        server.wait_for_line(&format!("got {asked}"));
        server.wait_for_line("drains");
        client.send_raw(b"st: x\r\n\r\n").expect("the rest of the request");
        assert!(says_close(&answer(&mut client).0));
        drop(client);
        assert_eq!(
            server.wait(PROMPT).code(),
            Some(0),
            "{asked}: {}",
            server.stdout()
        );
        assert_all_gone(&family, Some(port), PROMPT);
    }
}

#[test]
fn those_who_wait_in_the_listener_are_answered_before_the_master_ends() {
    let server = server(2, 0);
    let workers = server.children();
    workers.iter().for_each(|&worker| signal(worker, Signal::SIGSTOP));
    let mut clients: Vec<_> = (0..20).map(|_| connected(&server, GET)).collect();
    server.signal(Signal::SIGTERM);
    server.wait_for_line("got SIGTERM");
    workers.iter().for_each(|&worker| signal(worker, Signal::SIGCONT));
    let answered =
        clients.iter_mut().filter_map(|client| client.read_response().ok()).count();
    assert_eq!(
        answered, 20,
        "answered, of 20 that were connected before the signal"
    );
    drop(clients);
    assert_eq!(server.wait(PROMPT).code(), Some(0));
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for [first, second] in [
        [Signal::SIGTERM; 2],
        [Signal::SIGINT; 2],
        [Signal::SIGINT, Signal::SIGTERM],
    ] {
        let server = server(2, 0);
        let _slow = connected(&server, b"GET / HTTP/1.1\r\nHo");
        server
            .children()
            .into_iter()
            .for_each(|worker| signal(worker, Signal::SIGSTOP));
        let (family, port) = (server.processes(), server.port());
        server.signal(first);
        server.wait_for_line(&format!("got {first}"));
        assert!(server.try_wait().is_none(), "it waits for its workers");
        // Two signals at the same moment are one request: timeout(1) sends two.
        std::thread::sleep(std::time::Duration::from_millis(50));
        server.signal(second);
        assert_eq!(
            server.wait(PROMPT).code(),
            Some(1),
            "not everybody was waited for"
        );
        assert_all_gone(&family, Some(port), PROMPT);
    }
}

#[test]
fn nobody_can_connect_any_more_once_the_master_ends() {
    let server = server(1, 0);
    let _slow = accepted(&server, b"GET / HTTP/1.1\r\nHo");
    server.signal(Signal::SIGTERM);
    let worker = server.children()[0];
    testkit::eventually("the listener is closed in every process", SOON, || {
        http::get(server.addr()).is_err_and(|error| {
            error.kind() == std::io::ErrorKind::ConnectionRefused
        })
    });
    assert!(worker.alive(), "though a worker drains still");
}

#[test]
fn when_the_master_is_killed_a_request_of_less_than_a_second_is_answered() {
    let server = server(1, 0);
    let mut client = accepted(&server, b"GET / HTTP/1.1\r\nHo");
    let (family, port) = (server.processes(), server.port());
    server.signal(Signal::SIGKILL);
    client.send_raw(b"st: x\r\n\r\n").expect("the rest of the request");
    answer(&mut client);
    assert_all_gone(&family, Some(port), PROMPT);
}

#[test]
fn in_the_middle_of_load_nothing_is_left_behind() {
    for end in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        for crash_after in [1, 50] {
            let server = server(2, crash_after);
            let port = server.port();
            let loads = [closing(&server, 4).start(), keeping(&server, 4).start()];
            loads[0].wait_for_more(100, SOON);
            loads[1].wait_for_more(100, SOON);
            server.signal(end);
            let code = server.wait(PROMPT).code();
            let expected = if end == Signal::SIGKILL { None } else { Some(0) };
            assert_eq!(code, expected, "{end}: {}", server.stdout());
            // Found by what they inherited: orphans too, whenever they were started.
            assert_all_gone(&server.processes(), Some(port), PROMPT);
            drop(loads);
        }
    }
}

/// A process group that nobody controls gets no SIGHUP when its leader dies: a stopped worker that
/// is left there would never see that its master is gone.
#[test]
fn a_stopped_worker_does_not_outlive_a_master_in_a_session_of_its_own() {
    let program = env!("CARGO_BIN_EXE_ch05-restart");
    let arguments = ["-w", program, "--port", "0", "--workers", "1"];
    let session = Program::new("setsid").args(arguments).start();
    common::wait_until_full(&session, 1);
    let worker = common::only_worker(&session);
    let port = session.port();
    let master = session.descendants().into_iter().find(|it| *it != worker);
    signal(worker, Signal::SIGSTOP);
    signal(master.unwrap_or(session.process()), Signal::SIGKILL);
    assert_all_gone(&[worker], Some(port), PROMPT);
}
