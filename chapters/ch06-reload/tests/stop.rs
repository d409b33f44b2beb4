//! The end of the whole server: what has come in is answered.

mod common;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::thread::{self, sleep, spawn};
use std::time::{Duration, Instant};

use common::{
    HALF, PROMPT, SOON, Server, numbered, request, server_of, setup, signal,
    wait_for_accepted,
};
use testkit::http::Client;
use testkit::{Signal, assert_all_gone, eventually};

/// A whole request.
fn get() -> Vec<u8> {
    request("/")
}

#[track_caller]
fn assert_answered(clients: &mut [Client]) {
    for (number, client) in clients.iter_mut().enumerate() {
        let response = client.read_response();
        let status = response.as_ref().map(|response| response.status);
        assert_eq!(status.ok(), Some(200), "client {number}: {response:?}");
    }
}

#[test]
fn what_waits_in_the_backlog_of_a_busy_worker_is_answered() {
    let server = server_of(1);
    let mut clients = vec![server.connected(&request("/busy/300"))];
    wait_for_accepted(&server, 1);
    clients.extend((0..30).map(|_| server.connected(&get())));
    let (family, port) = (server.processes(), server.port());
    server.signal(Signal::SIGTERM);
    assert_answered(&mut clients);
    drop(clients);
    assert_eq!(server.wait(PROMPT).code(), Some(0), "{}", server.describe());
    assert_all_gone(&family, Some(port), PROMPT);
    assert_eq!(server.stderr(), "");
}

#[test]
fn what_waits_in_the_backlog_of_stopped_workers_is_answered() {
    let server = server_of(2);
    server.workers().into_iter().for_each(|it| signal(it, Signal::SIGSTOP));
    let mut clients: Vec<_> = (0..30).map(|_| server.connected(&get())).collect();
    server.signal(Signal::SIGTERM);
    server.wait_for_line("got SIGTERM");
    sleep(Duration::from_millis(200));
    server.workers().into_iter().for_each(|it| signal(it, Signal::SIGCONT));
    assert_answered(&mut clients);
    drop(clients);
    assert_eq!(server.wait(PROMPT).code(), Some(0), "{}", server.describe());
}

/// The client's kernel sends its first packet again after a second; then there is no
/// listener any more.
#[test]
fn who_connects_after_sigterm_is_refused_and_not_reset() {
    let server = server_of(1);
    // Its worker drains until this client has its response.
    let mut slow = server.connected(HALF[0]);
    wait_for_accepted(&server, 1);
    server.signal(Signal::SIGTERM);
    server.wait_for_line("got SIGTERM");
    let addr = server.addr();
    let late: Vec<_> = (0..5)
        .map(|_| spawn(move || TcpStream::connect_timeout(&addr, SOON)))
        .collect();
    for client in late {
        let result = client.join().expect("no panic").map_err(|error| error.kind());
        assert_eq!(result.err(), Some(ErrorKind::ConnectionRefused));
    }
    assert!(server.try_wait().is_none(), "it drains");
    slow.send_raw(HALF[1]).expect("the rest");
    assert_answered(&mut [slow]);
}

#[test]
fn a_stop_under_load_resets_no_connection() {
    let server = server_of(2);
    let load = server.load(8).start();
    load.wait_for_more(200, SOON);
    let (family, port) = (server.processes(), server.port());
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(PROMPT).code(), Some(0), "{}", server.describe());
    let report = load.stop();
    assert_eq!(report.lost_count, 0, "{report}");
    assert_all_gone(&family, Some(port), PROMPT);
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    for is_draining in [false, true] {
        let server = server_of(2);
        let _slow = server.connected(HALF[0]);
        wait_for_accepted(&server, 1);
        let mut _waits = None;
        if !is_draining {
            // What waits in the backlog keeps it from draining.
            server.workers().into_iter().for_each(|it| signal(it, Signal::SIGSTOP));
            _waits = Some(server.connected(&get()));
        }
        let (family, port) = (server.processes(), server.port());
        server.signal(Signal::SIGTERM);
        server.wait_for_line(if is_draining {
            "the backlog is empty"
        } else {
            "got SIGTERM"
        });
        // Two signals at the same moment are one request: timeout(1) sends two.
        sleep(Duration::from_millis(50));
        let began = Instant::now();
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait(PROMPT).code(), Some(1), "{}", server.describe());
        assert!(began.elapsed() < PROMPT / 2, "{:?}", began.elapsed());
        assert_all_gone(&family, Some(port), PROMPT);
    }
}

/// Sends SIGTERM while something else is under way.
#[track_caller]
fn ends(what: &str, server: &Server, delay: u64) {
    sleep(Duration::from_millis(delay));
    server.signal(Signal::SIGTERM);
    let code = server.wait(SOON).code();
    assert_eq!(code, Some(0), "{what}, {delay} ms: {}", server.describe());
    if server.stdout().contains("has taken over") {
        // It came too late: the new master is the server by then.
        server.send(Signal::SIGTERM);
    }
    assert_all_gone(&server.processes(), Some(server.port()), PROMPT);
    let mut told = server.stderr();
    // std's Command says so if a process dies between fork and exec: here the new master,
    // with the old one, while it starts a worker.
    if what == "an upgrade" {
        let line = "fatal runtime error: assertion failed: output.write";
        told = told.lines().filter(|it| !it.starts_with(line)).collect();
    }
    assert_eq!(told, "", "{what}, {delay} ms: {}", server.describe());
}

#[test]
fn sigterm_during_a_start_a_reload_or_an_upgrade_ends_everything() {
    thread::scope(|scope| {
        for delay in [0, 5, 20] {
            scope.spawn(move || {
                let server = setup(&numbered(2, 1)).start();
                server.addr();
                ends("a start", &server, delay);
            });
        }
        for delay in [0, 10, 100, 270] {
            scope.spawn(move || {
                let server = server_of(2);
                server.send(Signal::SIGHUP);
                ends("a reload", &server, delay);
            });
        }
        for delay in [0, 3, 8, 15, 30] {
            scope.spawn(move || {
                let server = server_of(2);
                server.send(Signal::SIGUSR2);
                ends("an upgrade", &server, delay);
            });
        }
    });
}

#[test]
fn sigterm_before_any_worker_is_ready_ends_everything() {
    let server = setup("workers = 2\n").args(&["--exec", "sleep", "1000"]).start();
    server.wait_for_lines("started", 2);
    ends("a start", &server, 0);
}

/// Whole process groups are signaled by shells, by `timeout` and by `pkill NAME`: what is
/// for the master must do its workers no harm.
#[test]
fn signals_to_all_processes_do_no_harm() {
    let server = server_of(2);
    let load = server.load(2).start();
    let signals = [
        Signal::SIGHUP,
        Signal::SIGUSR1,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
        Signal::SIGUSR2,
    ];
    for each in signals {
        let master = server.master();
        for process in server.processes() {
            process.signal(each);
        }
        if each == Signal::SIGUSR2 {
            server.wait_for_line("has taken over");
            eventually("the old master exits", SOON, || !master.alive());
        }
        server.settle(|_| true);
    }
    common::none_lost(load);
    assert_eq!(server.stderr(), "");
    let log = server.stdout();
    assert!(!log.contains("was killed"), "{log}");
    assert!(log.contains("has taken over"), "{log}");
    let family = server.processes();
    for process in &family {
        process.signal(Signal::SIGTERM);
    }
    assert_all_gone(&family, Some(server.port()), PROMPT);
}

/// systemd sends SIGTERM to all processes of a service, also to an old master whose
/// workers still have clients.
#[test]
fn sigterm_after_an_upgrade_cuts_off_no_client_of_the_old_master() {
    let server = server_of(1);
    let mut slow = server.connected(HALF[0]);
    wait_for_accepted(&server, 1);
    server.send(Signal::SIGUSR2);
    server.wait_for_line("has taken over");
    let family = server.processes();
    for process in &family {
        process.signal(Signal::SIGTERM);
    }
    sleep(Duration::from_millis(100));
    slow.send_raw(HALF[1]).expect("the rest");
    assert_eq!(slow.read_response().expect("a response").status, 200);
    drop(slow);
    assert_eq!(server.wait(PROMPT).code(), Some(0), "{}", server.describe());
    assert_all_gone(&family, Some(server.port()), PROMPT);
}

/// …even to a worker that has just started.
#[test]
fn many_signals_to_all_processes_do_no_harm() {
    let server = server_of(2);
    for _ in 0..30 {
        for process in server.processes() {
            process.signal(Signal::SIGHUP);
        }
        sleep(Duration::from_millis(7));
    }
    server.settle(|state| state["generation"].as_u64() > Some(1));
    assert_eq!(server.stderr(), "", "{}", server.describe());
}
