//! Workers that crash again and again, and places that are all taken.

mod common;

use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{
    HALF, SOON, Server, held_connections, numbered, request, setup, signal,
};
use testkit::{
    Process, Signal, assert_all_gone, cpu_time, eventually, node, node_program,
    try_eventually,
};

/// Takes the listener, which Node acknowledges, and exits.
const TAKES_AND_EXITS: &str = "process.on('message', () => process.exit(7));";

/// How many workers were started so far.
fn starts(server: &Server) -> usize {
    server.stdout().matches(" started\n").count()
}

/// A server whose workers crash.
fn crashing(limits: &str, exec: &[&str]) -> Server {
    let config = format!("workers = 2\n[limits]\n{limits}\n");
    setup(&config).args(&["--exec"]).args(exec).start()
}

/// It gives up after `crashes`, and it has not started many more workers.
#[track_caller]
fn gives_up(server: &Server, crashes: usize, within: Duration) {
    let family = server.processes();
    let code = server.wait(within).code();
    assert_eq!(code, Some(1), "{}", server.describe());
    let told = server.wait_for_stderr("the server gives up");
    assert!(told.contains("too many crashes"), "{told}");
    let starts = starts(server);
    assert!(starts <= 2 * crashes, "{starts} starts\n{}", server.describe());
    assert_all_gone(&family, Some(server.port()), Duration::from_secs(3));
}

#[test]
fn programs_that_exit_at_once_are_given_up() {
    let programs =
        [&["false"][..], &["sh", "-c", "kill -9 $$"], &["/no/such/program"]];
    for server in programs.map(|exec| crashing("crashes = 4", exec)) {
        gives_up(&server, 4, SOON);
    }
}

#[test]
fn a_program_that_takes_the_listener_and_exits_is_given_up() {
    let Some(node) = node() else { return };
    let script = node_program(TAKES_AND_EXITS);
    let exec =
        [node.to_str().expect("UTF-8"), script.path().to_str().expect("UTF-8")];
    let server = crashing("crashes = 3", &exec);
    gives_up(&server, 3, SOON);
    assert!(server.stdout().contains("is ready"), "{}", server.stdout());
}

/// It asks to be replaced as a worker does whose program has failed on a request. So it
/// is not given up, but it is no busy loop either.
#[test]
fn a_program_that_takes_the_listener_and_retreats_is_limited() {
    let Some(node) = node() else { return };
    let script = node_program(
        "process.on('message', () => process.send({act: 'suicide'}, () => process.exit(1)));",
    );
    let exec =
        [node.to_str().expect("UTF-8"), script.path().to_str().expect("UTF-8")];
    let server = crashing("crashes = 2", &exec);
    eventually("it is replaced", SOON, || starts(&server) > 6);
    let (before, began) = (starts(&server), Instant::now());
    sleep(Duration::from_secs(1));
    let most = 2 * (began.elapsed().as_millis() / 100 + 1);
    let started = starts(&server) - before;
    assert!(started as u128 <= most, "{started} starts in a second");
    assert!(server.try_wait().is_none(), "{}", server.describe());
}

/// A worker of ours whose handler panics has served: its client has the response 500.
#[test]
fn workers_that_panic_on_each_request_are_not_given_up() {
    let config = format!("{}[limits]\ncrashes = 3\n", numbered(1, 1));
    let server = setup(&config).ready();
    for _ in 0..6 {
        let mut client = server.connected(&request("/panic"));
        let response = client.read_response().expect("a response");
        assert_eq!(response.status, 500);
    }
    server.settle(|_| true);
    assert!(!server.stdout().contains("has served nothing"), "{}", server.stdout());
}

#[test]
#[ignore = "takes half a minute"]
fn a_program_that_takes_the_listener_and_exits_is_started_few_times() {
    let Some(node) = node() else { return };
    let script = node_program(TAKES_AND_EXITS);
    let exec =
        [node.to_str().expect("UTF-8"), script.path().to_str().expect("UTF-8")];
    let server = crashing("", &exec);
    sleep(Duration::from_secs(5));
    let (starts, spent) = (starts(&server), cpu_time(server.pid()));
    println!("{starts} starts in 5 s, {spent:?} of the master's CPU");
    assert!(starts <= 16, "{starts} starts in 5 s");
    assert!(spent < Duration::from_millis(500), "{spent:?} of CPU");
    let began = Instant::now();
    gives_up(&server, 10, Duration::from_secs(60));
    println!("it gives up after {:?}", 5.0 + began.elapsed().as_secs_f64());
}

/// Our own workers get ready, and the first request of each aborts it.
#[test]
fn workers_that_abort_without_having_served_are_given_up() {
    let config = format!("{}[limits]\ncrashes = 4\n", numbered(1, 1));
    let server = setup(&config).ready();
    let mut aborts = 0;
    let ended = try_eventually(SOON, || {
        if let Ok(mut client) = testkit::http::Client::connect(server.addr()) {
            aborts += u32::from(client.send_raw(&request("/abort")).is_ok());
            let _ = client.read_response();
        }
        server.try_wait()
    });
    assert_eq!(ended.and_then(|it| it.code()), Some(1), "{}", server.describe());
    server.wait_for_stderr("the server gives up");
    assert!(
        server.stdout().contains("has served nothing: pause, 400 ms"),
        "{aborts}"
    );
}

#[test]
fn workers_that_have_served_may_crash_any_number_of_times() {
    let config = format!("{}[limits]\ncrashes = 3\n", numbered(1, 1));
    let server = setup(&config).ready();
    for crashes in 1..=6 {
        server.load(1).run_total(3).assert_none_lost();
        let served = |state: &serde_json::Value| {
            state["workers"][0]["requests"].as_u64() >= Some(1)
        };
        server.settle(served);
        let mut client = server.connected(&request("/abort"));
        assert!(client.read_response().is_err());
        server.settle(|_| starts(&server) > crashes);
    }
    assert_eq!(starts(&server), 7);
    assert!(!server.stdout().contains("has served nothing"), "{}", server.stdout());
}

/// During a pause, what is left serves on; and a worker that gets ready ends it all.
#[test]
fn after_a_few_crashes_a_server_recovers() {
    let server = setup(&numbered(2, 1)).ready();
    for _ in 0..3 {
        for worker in server.workers() {
            worker.signal(Signal::SIGKILL);
        }
        server.load(1).run_total(1).assert_none_lost();
    }
    server.settle(|_| true);
    server.load(2).run_total(100).assert_none_lost();
}

/// At most 2N + 8 workers run. Where clients that take their time hold all of them, none
/// could serve: then the one that has drained longest is killed.
#[test]
fn where_slow_clients_fill_all_places_the_oldest_worker_is_killed() {
    let server = setup(&numbered(1, 1)).ready();
    let killed = "has drained longest: it is killed to make room";
    let ready = || {
        server.wait_until_full();
        server.load(1).run_total(1).assert_none_lost();
        // A worker that has served does not crash at once if it drains.
        let serves = |it: &serde_json::Value| {
            it["state"] == "ready" && it["requests"].as_u64() > Some(0)
        };
        let pid = try_eventually(SOON, || {
            let state = server.state();
            let mut all = state["workers"].as_array().expect("an array").iter();
            all.find(|it| serves(it))?["pid"].as_i64()
        });
        common::process(pid.expect("a worker that has served") as i32)
    };
    let mut slow = Vec::new();
    // Each client holds its worker for 5 s: on a busy machine the first ones exit before
    // all places are taken.
    while !server.stdout().contains(killed) {
        assert!(slow.len() < 60, "{}", server.describe());
        let worker = ready();
        slow.push((worker, server.connected(HALF[0])));
        let holds = |it: Process| held_connections(it.pid, server.pid()) > 0;
        eventually("it accepts", SOON, || holds(worker));
        signal(worker, Signal::SIGTERM);
        server.wait_for_line(&format!("worker {} drains", worker.pid));
        assert!(server.workers().len() <= 10);
    }
    let line = server.wait_for_line(killed);
    let began = Instant::now();
    server.load(1).run_total(1).assert_none_lost();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    // It was the oldest of those that still ran.
    let (_, newest) = slow.last_mut().expect("there is one");
    newest.send_raw(HALF[1]).expect("the rest");
    assert_eq!(newest.read_response().expect("a response").status, 200);
    let victim =
        slow.iter().position(|(worker, _)| line.contains(&worker.pid.to_string()));
    let before = &slow[..victim.expect("it has a client")];
    assert!(before.iter().all(|(worker, _)| !worker.alive()), "{line}");
}
