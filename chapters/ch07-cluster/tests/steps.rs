//! The steps: each does and fails to do what its page says.

use std::{env, path::PathBuf, time::Duration};

use testkit::http::{self, Client};
use testkit::{Program, Running, Signal, eventually};

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
    let step = Program::new(path(name)).arg("127.0.0.1:0").start();
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
