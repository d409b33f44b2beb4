//! The steps: each does and fails to do what its page says.

use std::os::unix::process::ExitStatusExt as _;
use std::{env, path::PathBuf, time::Duration};

use testkit::http::{self, Client};
use testkit::{Program, Running, Signal, eventually, fds};

const SOON: Duration = Duration::from_secs(15);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// `cargo test` builds the examples beside the tests.
fn path(name: &str) -> PathBuf {
    let own = env::current_exe().expect("a path");
    let target = own.ancestors().nth(2).expect("target/debug/deps/steps-…");
    let path = target.join("examples").join(name);
    assert!(
        path.exists(),
        "no {path:?}: run cargo build -p ch07-cluster --examples"
    );
    path
}

fn step(name: &str) -> Running {
    step_with(name, &[])
}

fn step_with(name: &str, arguments: &[&str]) -> Running {
    let step = Program::new(path(name)).arg("127.0.0.1:0").args(arguments).start();
    step.addr();
    step
}

/// The number in `handled by 4312`.
fn pid(body: &str) -> i32 {
    let number = body.trim().strip_prefix("handled by ").expect("a pid");
    number.parse().expect("a number")
}

#[test]
fn with_reuseport_a_workers_death_costs_what_waits_in_its_queue() {
    let step = step("reuseport");
    eventually("two workers", SOON, || step.children().len() == 2);
    let pids = || pid(&http::get(step.addr()).expect("a response").body);
    let both: std::collections::BTreeSet<i32> = (0..60).map(|_| pids()).collect();
    assert_eq!(both.len(), 2, "the kernel spreads the connections");
    let victim = step.children()[0];
    victim.signal(Signal::SIGSTOP);
    let mut clients: Vec<Client> = (0..40)
        .map(|_| {
            let mut client = Client::connect(step.addr()).expect("to connect");
            client.send_raw(GET).expect("to send");
            client
        })
        .collect();
    victim.signal(Signal::SIGKILL);
    let lost = clients.iter_mut().map(|it| it.is_closed_within(SOON));
    let lost = lost.filter(|is_lost| *is_lost).count();
    assert!(0 < lost && lost < 40, "{lost} of 40 were lost");
    // From now on the other worker gets them all.
    assert!((0..20).all(|_| pids() != victim.pid));
}

#[test]
fn one_thread_serves_many_and_its_death_ends_all_connections() {
    let step = step("epoll");
    let mut clients: Vec<Client> = (0..50)
        .map(|_| Client::connect(step.addr()).expect("to connect"))
        .collect();
    for client in clients.iter_mut().rev() {
        assert!(client.get("/").is_ok());
    }
    for client in &mut clients {
        assert!(client.get("/").is_ok());
    }
    let worker = step.children()[0];
    worker.signal(Signal::SIGTERM);
    step.wait_for_line("Signaled");
    for client in &mut clients {
        assert!(client.get("/").is_err(), "the connection has ended");
    }
    let response = Client::connect(step.addr()).expect("to connect").get("/");
    assert_ne!(pid(&response.expect("a new worker").body), worker.pid);
}

#[test]
fn a_connection_outlives_its_workers() {
    let step = step("hand_over");
    let mut client = Client::connect(step.addr()).expect("to connect");
    let mut pids: Vec<i32> =
        (0..9).map(|_| pid(&client.get("/").expect("a response").body)).collect();
    assert!(
        pids[0] == pids[2] && pids[3] == pids[5] && pids[6] == pids[8],
        "{pids:?}"
    );
    pids.dedup();
    assert_eq!(pids.len(), 3, "three workers, one connection");
}

/// How many sockets the processes of a step have open.
fn sockets(step: &Running) -> usize {
    let files = step.processes().into_iter().flat_map(|it| fds(it.pid));
    files.filter(|(_, target)| target.starts_with("socket:")).count()
}

/// A client that is being answered by the other worker, while `path` is requested.
fn crash(step: &Running, path: &str) -> std::io::Result<http::Response> {
    let before = sockets(step);
    let mut slow = Client::connect(step.addr()).expect("to connect");
    slow.send_raw(b"GET /slow HTTP/1.1\r\n\r\n").expect("to send");
    eventually("a worker accepts it", SOON, || sockets(step) > before);
    let crash = Client::connect(step.addr()).and_then(|mut it| it.get(path));
    assert!(crash.is_err(), "{path} crashes");
    slow.read_response()
}

#[test]
fn an_abort_ends_all_threads_and_a_panic_ends_none() {
    let step = step("threads");
    assert!(crash(&step, "/panic").is_ok());
    assert!(http::get(step.addr()).is_ok());
    assert!(crash(&step, "/abort").is_err(), "it ended with the process");
    assert_eq!(step.wait(SOON).signal(), Some(Signal::SIGABRT as i32));
}

#[test]
fn a_crash_ends_one_process_and_the_other_goes_on() {
    let step = step_with("threads", &["processes"]);
    for path in ["/panic", "/abort"] {
        let slow = crash(&step, path).expect("the other worker goes on");
        assert!(slow.body.starts_with("request "), "{slow:?}");
        eventually("two workers again", SOON, || step.children().len() == 2);
        assert!(http::get(step.addr()).is_ok());
    }
}

#[test]
fn the_cluster_on_a_slide_serves_in_turn_and_heals() {
    let step = step("hello");
    step.wait_for_lines("is ready", 2);
    let ask = || http::get(step.addr()).expect("a response").body;
    let (first, second) = (ask(), ask());
    assert_ne!(first, second);
    assert_eq!(ask(), first);
    step.children()[0].signal(Signal::SIGKILL);
    step.wait_for_lines("is ready", 3);
    step.signal(Signal::SIGTERM);
    assert_eq!(step.wait(SOON).code(), Some(0));
}
