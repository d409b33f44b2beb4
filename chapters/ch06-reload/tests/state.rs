//! The state of all workers: `GET /workers` and SIGUSR1.

mod common;

use std::thread::sleep;
use std::time::Duration;

use ch05_restart::{Handler as _, Request};
use ch06_reload::{Config, Site};
use common::{HALF, PROGRAM, SOON, Server, numbered, process, server_of, signal};
use serde_json::{Value, json};
use testkit::http::{self, Client};
use testkit::{Process, Program, Signal, eventually, try_eventually};

/// What `GET /workers` answers.
#[track_caller]
fn get_state(server: &Server) -> Value {
    let response = server.get("/workers");
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("Content-Type"), Some("application/json"));
    serde_json::from_str(&response.body).expect("JSON")
}

fn workers(state: &Value) -> &Vec<Value> {
    state["workers"].as_array().expect("an array")
}

fn requests(state: &Value) -> u64 {
    workers(state).iter().filter_map(|it| it["requests"].as_u64()).sum()
}

/// Blocks until `GET /workers` is as expected, and returns how long that took.
#[track_caller]
fn until(server: &Server, as_expected: impl Fn(&Value) -> bool) -> Value {
    let state = || Some(get_state(server)).filter(&as_expected);
    try_eventually(SOON, state)
        .unwrap_or_else(|| panic!("{}\n{}", get_state(server), server.describe()))
}

#[test]
fn both_have_all_fields() {
    let server = server_of(2);
    let full = |state: &Value| {
        let ready = workers(state).iter().filter(|it| it["state"] == "ready");
        ready.count() == 2
    };
    for state in [server.state(), until(&server, full)] {
        assert_eq!(state["master"], server.pid(), "{state}");
        assert_eq!(state["generation"], 1, "{state}");
        assert_eq!(state["wanted"], 2, "{state}");
        let mut pids = Vec::new();
        for worker in workers(&state) {
            let pid = worker["pid"].as_i64().expect("a number") as i32;
            pids.push(process(pid));
            assert_eq!(worker["generation"], 1, "{state}");
            assert!(
                worker["age"].as_f64().is_some_and(|age| age < 15.0),
                "{state}"
            );
            assert!(worker["requests"].is_u64(), "{state}");
            let kib = common::memory(pid);
            let told = worker["memory"].as_u64().expect("a number") / 1024;
            assert!(told > kib / 2 && told < kib * 2, "{kib} KiB: {state}");
        }
        pids.sort();
        let mut expected = server.workers();
        expected.sort();
        assert_eq!(pids, expected);
    }
}

/// The master sends the state only if it has changed.
#[test]
fn the_ages_grow_while_nothing_changes() {
    let mut site = Site::new(&Config::default(), false).expect("it has no files");
    let state = json!({"workers": [{"pid": 1, "age": 7.0}]});
    site.on_message(&json!({"act": "state", "state": state}));
    let request = Request { method: "GET".to_owned(), path: "/workers".to_owned() };
    eventually("the age grows", Duration::from_secs(2), || {
        let body = site.handle(&request).body;
        let state: Value = serde_json::from_slice(&body).expect("JSON");
        state["workers"][0]["age"].as_f64().is_some_and(|age| age > 7.05)
    });
}

#[test]
fn the_requests_add_up() {
    let server = server_of(2);
    server.load(4).run_total(300).assert_none_lost();
    eventually("SIGUSR1 counts them", SOON, || requests(&server.state()) == 300);
    // It counts those that have asked for it before, and not itself.
    let before = requests(&server.state());
    let mut asked = 0;
    eventually("GET /workers counts them, too", SOON, || {
        asked += 1;
        requests(&get_state(&server)) == before + asked - 1
    });
}

#[test]
fn each_worker_answers_and_knows_of_all_others() {
    let server = server_of(3);
    server.load(2).run_total(50).assert_none_lost();
    let all = server.workers();
    for &one in &all {
        let others = || all.iter().filter(|&&it| it != one);
        others().for_each(|&it| signal(it, Signal::SIGSTOP));
        let told =
            |state: &Value| requests(state) >= 50 && workers(state).len() == 3;
        until(&server, told);
        others().for_each(|&it| signal(it, Signal::SIGCONT));
    }
}

#[test]
fn it_is_fresh_after_a_crash_a_reload_and_an_upgrade() {
    let server = server_of(2);
    let old = server.workers();
    old[0].signal(Signal::SIGKILL);
    let knows = |pid: i32| {
        move |state: &Value| workers(state).iter().any(|it| it["pid"] == pid)
    };
    until(&server, |state| !knows(old[0].pid)(state) && workers(state).len() == 2);
    server.reload();
    until(&server, |state| state["generation"] == 2 && !knows(old[1].pid)(state));
    server.upgrade();
    let master = server.master().pid;
    assert_ne!(master, server.pid());
    until(&server, |state| state["master"] == master && workers(state).len() == 2);
    server.send(Signal::SIGTTIN);
    until(&server, |state| state["wanted"] == 3 && workers(state).len() == 3);
}

#[test]
fn a_worker_that_drains_is_retiring_and_one_that_starts_is_starting() {
    let server = server_of(1);
    let old = server.workers()[0];
    let mut slow = server.connected(HALF[0]);
    eventually("it has accepted", SOON, || {
        common::held_connections(old.pid, server.pid()) == 1
    });
    signal(old, Signal::SIGTERM);
    let state = until(&server, |state| {
        workers(state)
            .iter()
            .any(|it| it["state"] == "ready" && it["pid"] != old.pid)
    });
    let told = workers(&state).iter().find(|it| it["pid"] == old.pid);
    assert_eq!(told.expect("it runs")["state"], "retiring", "{state}");
    slow.send_raw(HALF[1]).expect("the rest");
    slow.read_response().expect("a response");
    drop(slow);
    until(&server, |state| workers(state).len() == 1);
}

/// Also by a worker that has just become ready.
#[test]
fn it_is_answered_during_reloads_too() {
    let server = server_of(2);
    let (mut answered, mut refused) = (0, Vec::new());
    for number in 2..=5 {
        server.configure(&numbered(2, number));
        server.send(Signal::SIGHUP);
        let done = format!("reload: done, generation {number}");
        while !server.stdout().contains(&done) {
            let response = Client::connect(server.addr())
                .and_then(|mut client| client.get("/workers"))
                .expect("a response");
            match response.status {
                200 => answered += 1,
                _ => refused.push(response),
            }
        }
    }
    assert!(answered > 0);
    assert!(refused.is_empty(), "{answered} answered, {} not", refused.len());
}

/// The master tells its workers what has changed, and that is no loop: what a worker
/// answers changes nothing.
#[test]
fn an_idle_server_tells_its_workers_nothing() {
    let server = server_of(2);
    until(&server, |state| workers(state).iter().all(|it| it["state"] == "ready"));
    http::get(server.addr()).expect("a response");
    sleep(Duration::from_millis(300));
    let used = || {
        server
            .processes()
            .iter()
            .map(|it| testkit::cpu_time(it.pid))
            .sum::<Duration>()
    };
    let before = used();
    sleep(Duration::from_secs(1));
    let spent = used().saturating_sub(before);
    assert!(
        spent <= Duration::from_millis(30),
        "{spent:?} of CPU in an idle second"
    );
}

/// A pipe holds 64 KiB. A master that waits for the reader replaces no worker.
#[test]
fn the_master_does_not_wait_for_the_reader_of_its_state() {
    let command = "\"$0\" --port 0 --workers 16 --demo | (read line; echo \"$line\"; exec sleep 1000)";
    let pipeline = Program::new("sh").args(["-c", command, PROGRAM]).start();
    let addr = pipeline.addr();
    let is_master = |it: &Process| it.command_line().contains(" --port 0");
    let all = || pipeline.processes().into_iter();
    let master =
        all().find(|it| is_master(it) && !it.command_line().contains("sh -c"));
    let master = master.expect("it runs");
    let workers = || testkit::children_of(master.pid);
    eventually("all workers", SOON, || workers().len() == 16);
    // Each state has about 2 KiB.
    for _ in 0..60 {
        signal(master, Signal::SIGUSR1);
        eventually("it was taken", SOON, || {
            let pending = common::status(master.pid, "ShdPnd:").unwrap_or_default();
            pending.bytes().all(|digit| digit == b'0')
        });
        sleep(Duration::from_millis(2));
    }
    let victim = workers()[0];
    signal(victim, Signal::SIGKILL);
    eventually("it is replaced", SOON / 3, || {
        workers().len() == 16 && !workers().contains(&victim)
    });
    http::get(addr).expect("a response");
}
