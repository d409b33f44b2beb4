//! What takes its time: nobody is waited for longer than promised.

mod common;

use std::io::Read;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use common::sh::{python_server, sh};
use common::{
    GET, SOON, accepted, answer, connected, only_worker, server, server_of, signal,
};
use testkit::http::{self, Client};
use testkit::{Running, Signal, assert_all_gone, try_eventually};

const SECOND: Duration = Duration::from_secs(1);

/// What every promise in seconds gets on top: the machine may be busy.
const BUSY: Duration = Duration::from_millis(1_500);

#[test]
fn a_silent_client_is_closed_after_10_s() {
    let server = server(1, 0);
    let mut half_head = connected(&server, b"GET / HTTP/1.1\r\nHo");
    let mut half_body =
        connected(&server, b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab");
    let mut idle = connected(&server, GET);
    answer(&mut idle);
    let mut drips = connected(&server, b"GET / HTTP/1.1\r\nX: ");
    let dripping = spawn(move || {
        // A byte now and then is no whole head.
        let mut late =
            || drips.send_raw(b"y").is_err() || drips.is_closed_within(SECOND / 5);
        try_eventually(SOON, || late().then_some(()))
    });
    let flooding = flood(&server);
    let mut silent = connected(&server, b"");

    assert!(!silent.is_closed_within(9 * SECOND), "10 s, not less");
    assert!(!idle.is_closed_within(SECOND / 1000), "10 s, not less");
    for half in [&mut half_head, &mut half_body] {
        let told = half.read_response().map(|response| response.status);
        assert!(matches!(told, Ok(408)), "half a request is told so: {told:?}");
    }
    assert!(silent.is_closed_within(SECOND + BUSY), "it never said anything");
    assert!(
        idle.is_closed_within(SECOND),
        "it had an answer, and then nothing more to say"
    );
    assert!(
        dripping.join().expect("no panic").is_some(),
        "it is not kept by a byte now and then"
    );
    let took = flooding.join().expect("no panic");
    let cut = took.is_some_and(|took| took < 2 * SECOND + BUSY);
    assert!(
        cut,
        "one that has its answer and never stops to send is cut off in 2 s, not {took:?}"
    );
}

/// A client that has its last answer, and goes on to send without pause. How long that went well;
/// `None` if it did for 10 s.
fn flood(server: &Running) -> std::thread::JoinHandle<Option<Duration>> {
    let mut client =
        connected(server, b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
    spawn(move || {
        answer(&mut client);
        let begun = Instant::now();
        let cut = try_eventually(10 * SECOND, || {
            let cut = (0..64).any(|_| client.send_raw(&[b'x'; 65536]).is_err());
            cut.then(|| begun.elapsed())
        });
        let _ = client.stream().read(&mut [0]);
        cut
    })
}

#[test]
fn a_slow_client_holds_an_old_worker_for_5_s_and_nobody_waits_for_it() {
    let server = server(1, 0);
    let mut slow = accepted(&server, b"GET / HTTP/1.1\r\nHo");
    let old = only_worker(&server);
    let begun = Instant::now();
    signal(old, Signal::SIGTERM);
    server.wait_for_line(&format!("worker {} drains", old.pid));
    for _ in 0..10 {
        let response = http::get(server.addr()).expect("the replacement serves");
        assert_ne!(testkit::pid_in(&response.body), Some(old.pid), "{response:?}");
    }
    assert!(begun.elapsed() < 4 * SECOND, "the others were answered at once");
    assert!(
        !slow.is_closed_within((9 * SECOND / 2).saturating_sub(begun.elapsed()))
    );
    assert!(slow.is_closed_within(SECOND / 2 + BUSY), "after 5 s it is given up");
    server.wait_for_line(&format!("worker {} exited with code 0", old.pid));
}

/// One server that is asked to end, and cannot have its way with everybody.
struct Case {
    what: &'static str,
    server: Running,
    _client: Option<Client>,
}

fn case(what: &'static str, server: Running, client: Option<Client>) -> Case {
    Case { what, server, _client: client }
}

#[test]
fn asked_to_end_the_master_ends_within_6_s_whatever_the_workers_do() {
    let mut cases = Vec::new();
    let half = server(1, 0);
    let client = accepted(&half, b"GET / HTTP/1.1\r\nHo");
    cases.push(case("a client that never finishes", half, Some(client)));
    let keeps = server(1, 0);
    let client = accepted(&keeps, b"");
    cases.push(case("a client that only waits", keeps, Some(client)));
    let stopped = server(2, 0);
    stopped
        .children()
        .into_iter()
        .for_each(|worker| signal(worker, Signal::SIGSTOP));
    cases.push(case("stopped workers", stopped, None));
    // An ignored signal stays ignored across exec.
    let deaf = server_of(2, &sh("trap '' TERM; echo deaf; exec sleep 1000"));
    deaf.wait_for_lines("deaf", 2);
    cases.push(case("workers that never get ready and ignore SIGTERM", deaf, None));
    let plain = server_of(2, &["sleep", "1000"]);
    plain.wait_for_lines("started", 2);
    cases.push(case("workers that never get ready", plain, None));
    let stubborn = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nserve(take())";
    if let Some(server) = python_server(2, stubborn) {
        common::wait_until_full(&server, 2);
        cases.push(case("workers that serve and ignore SIGTERM", server, None));
    }

    let families: Vec<_> =
        cases.iter().map(|case| case.server.processes()).collect();
    for (number, case) in cases.iter().enumerate() {
        let how = if number % 2 == 0 { Signal::SIGTERM } else { Signal::SIGINT };
        case.server.signal(how);
    }
    let begun = Instant::now();
    for (case, family) in cases.iter().zip(families) {
        let left = (6 * SECOND + BUSY).saturating_sub(begun.elapsed());
        let ended = try_eventually(left, || case.server.try_wait());
        let ended =
            ended.unwrap_or_else(|| panic!("still there after 6 s: {}", case.what));
        let told = (case.server.stdout(), case.server.stderr());
        assert_eq!(ended.code(), Some(0), "{}: {told:?}", case.what);
        assert_all_gone(&family, Some(case.server.port()), SECOND + BUSY);
    }
}

#[test]
fn what_a_dead_masters_workers_were_doing_ends_after_a_second() {
    let server = server(2, 0);
    let slow: Vec<_> =
        (0..4).map(|_| connected(&server, b"GET / HTTP/1.1\r\nHo")).collect();
    sleep(SECOND / 10);
    let (family, port) = (server.processes(), server.port());
    server.signal(Signal::SIGKILL);
    assert_all_gone(&family, Some(port), 2 * SECOND);
    drop(slow);
}
