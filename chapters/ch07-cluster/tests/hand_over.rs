//! Connections that go from a worker that drains to another, while their clients
//! notice nothing.

mod common;

use std::os::unix::net::UnixStream;
use std::thread::{self, sleep};
use std::time::Duration;

use ch02_balance::Received;
use common::{
    Alone, GET, SHARINGS, SOON, alone, alone_on, kept, load, pid, server, serving,
};
use serde_json::json;
use testkit::http::Client;
use testkit::load::Kind;
use testkit::{Signal, eventually};

/// Two workers with the same listener.
fn two(arguments: &[&str]) -> (Alone, Alone) {
    let giver = alone(&[]);
    let listener = giver.listener.try_clone().expect("a copy");
    (giver, alone_on(listener, arguments))
}

/// Clients whose connections this worker has: the other one is stopped meanwhile.
fn clients_of(worker: &Alone, other: &Alone, count: usize) -> Vec<Client> {
    other.worker.signal(Signal::SIGSTOP);
    let clients = (0..count).map(|_| kept(worker.addr)).collect();
    other.worker.signal(Signal::SIGCONT);
    clients
}

/// As the primary does it: the giver may begin when no copy is left here.
fn introduce(giver: &mut Alone, taker: &mut Alone) {
    let (one, other) = UnixStream::pair().expect("a pair");
    for (worker, act, end) in [(&mut *giver, "give", one), (taker, "take", other)] {
        let message = json!({"act": act, "n": 7});
        let sent = worker.channel.send_handle("net.Socket", message, end.into());
        sent.expect("to send");
        assert!(matches!(worker.next(), Received::Acked));
    }
    giver.send(json!({"act": "go", "n": 7}));
}

fn drain(giver: &mut Alone) {
    giver.worker.signal(Signal::SIGTERM);
    giver.wait_for_drain();
}

/// The taker gets all connections of a worker that drains, and that one exits.
#[track_caller]
fn assert_all_move(giver: &mut Alone, taker: &mut Alone, clients: &mut [Client]) {
    introduce(giver, taker);
    giver.send(json!({"act": "last", "stop": false}));
    assert_eq!(giver.worker.wait(SOON).code(), Some(0));
    for client in clients {
        assert_eq!(pid(client.get("/")), taker.worker.pid());
    }
}

#[test]
fn idle_connections_go_to_the_other_worker_and_the_giver_exits() {
    let (mut giver, mut taker) = two(&[]);
    let mut clients = clients_of(&giver, &taker, 200);
    drain(&mut giver);
    assert_all_move(&mut giver, &mut taker, &mut clients);
    // They are kept there, too.
    assert_eq!(pid(clients[0].get("/")), taker.worker.pid());
}

/// It reads no further connections from its channel, but it reads who takes them.
#[test]
fn a_full_worker_gives_its_connections_too() {
    let mut giver = alone(&["--max-connections", "10"]);
    let mut taker = alone_on(giver.listener.try_clone().expect("a copy"), &[]);
    let mut clients = clients_of(&giver, &taker, 10);
    drain(&mut giver);
    assert_all_move(&mut giver, &mut taker, &mut clients);
}

/// The primary introduces them, and then it is stopped: nothing depends on it.
#[test]
fn a_half_sent_request_stays_and_its_connection_follows_when_it_is_idle() {
    let (mut giver, mut taker) = two(&[]);
    let mut clients = clients_of(&giver, &taker, 20);
    for client in &mut clients {
        client.send_raw(&GET[..10]).expect("to send");
    }
    // It has read that.
    pid(kept(giver.addr).get("/"));
    sleep(Duration::from_millis(50));
    drain(&mut giver);
    introduce(&mut giver, &mut taker);
    sleep(Duration::from_millis(100));
    for client in &mut clients {
        client.send_raw(&GET[10..]).expect("to send");
        assert_eq!(pid(client.read_response()), giver.worker.pid());
    }
    eventually("they have moved", SOON, || {
        clients.iter_mut().all(|client| pid(client.get("/")) == taker.worker.pid())
    });
}

#[test]
fn while_the_taker_is_stopped_the_giver_answers() {
    let (mut giver, mut taker) = two(&[]);
    let mut clients = clients_of(&giver, &taker, 20);
    introduce(&mut giver, &mut taker);
    taker.worker.signal(Signal::SIGSTOP);
    drain(&mut giver);
    giver.send(json!({"act": "last", "stop": false}));
    for client in &mut clients {
        assert_eq!(pid(client.get("/")), giver.worker.pid());
    }
    taker.worker.signal(Signal::SIGCONT);
    eventually("they have moved", SOON, || {
        clients.iter_mut().all(|client| pid(client.get("/")) == taker.worker.pid())
    });
}

/// Whatever the taker had not taken when it was killed, the giver still answers.
#[test]
fn if_the_taker_is_killed_nothing_is_lost_that_it_had_not_taken() {
    for delay in [0, 300, 1_000, 3_000] {
        let (mut giver, mut taker) = two(&[]);
        let mut clients = clients_of(&giver, &taker, 100);
        introduce(&mut giver, &mut taker);
        giver.worker.signal(Signal::SIGTERM);
        sleep(Duration::from_micros(delay));
        taker.worker.signal(Signal::SIGKILL);
        taker.worker.wait(SOON);
        let mut answered = 0;
        for client in &mut clients {
            // None comes if the dead one had taken it. Then the connection has ended.
            if let Ok(response) = client.get("/") {
                assert_eq!(pid(Ok(response)), giver.worker.pid());
                answered += 1;
            }
        }
        assert!(answered > 0 || delay > 300, "after {delay} µs it had taken all");
    }
}

/// The primary is stopped before it could complete the introduction.
#[test]
fn before_the_introduction_is_complete_nothing_is_offered() {
    let (mut giver, mut taker) = two(&[]);
    let mut clients = clients_of(&giver, &taker, 10);
    let (one, other) = UnixStream::pair().expect("a pair");
    for (worker, act, end) in
        [(&mut giver, "give", one), (&mut taker, "take", other)]
    {
        let message = json!({"act": act, "n": 7});
        let sent = worker.channel.send_handle("net.Socket", message, end.into());
        sent.expect("to send");
    }
    drain(&mut giver);
    sleep(Duration::from_millis(50));
    for client in &mut clients {
        assert_eq!(pid(client.get("/")), giver.worker.pid());
    }
}

#[test]
fn a_taker_takes_no_more_than_it_may_have() {
    let (mut giver, mut taker) = two(&["--max-connections", "10"]);
    let mut clients = clients_of(&giver, &taker, 30);
    drain(&mut giver);
    introduce(&mut giver, &mut taker);
    giver.send(json!({"act": "last", "stop": false}));
    sleep(Duration::from_millis(200));
    let (mut first, mut second) = (0, 0);
    for client in &mut clients {
        match pid(client.get("/")) {
            it if it == giver.worker.pid() => first += 1,
            _ => second += 1,
        }
    }
    assert_eq!((first, second), (20, 10));
}

/// Requests without a pause: the connection is never idle.
#[test]
fn a_client_that_never_pauses_is_told_that_its_connection_ends() {
    let (mut giver, mut taker) = two(&[]);
    let mut client = clients_of(&giver, &taker, 1).pop().expect("a client");
    drain(&mut giver);
    // Before the introduction: one request is always on its way.
    client.send_raw(&GET.repeat(50)).expect("to send");
    introduce(&mut giver, &mut taker);
    giver.send(json!({"act": "last", "stop": false}));
    let mut sent = 50;
    let mut answered = 0;
    loop {
        let response = client.read_response().expect("none is lost before the end");
        answered += 1;
        if response.header("Connection") == Some("close") {
            break;
        }
        if client.send_raw(GET).is_ok() {
            sent += 1;
        }
        sleep(Duration::from_millis(1));
        if pid(Ok(response)) == taker.worker.pid() {
            break; // it was idle for a moment, and is kept
        }
    }
    assert!(answered <= sent);
    drop(client);
    assert_eq!(giver.worker.wait(SOON).code(), Some(0));
}

/// Kept connections under load, while all workers are replaced again and again.
fn torment(sharing: &str, rounds: usize, signal: Signal) {
    let server = server(2, sharing, &[]);
    let background = load(&server, 8, Kind::HttpKeepAlive).start();
    let mut idle: Vec<Client> = (0..50).map(|_| kept(server.addr())).collect();
    let mut all = serving(&server);
    for _ in 0..rounds {
        background.wait_for_more(50, SOON);
        match signal {
            Signal::SIGHUP => server.signal(signal),
            signal => {
                let victim = *serving(&server).first().expect("a worker");
                testkit::Process::of(victim).map(|it| it.signal(signal));
            }
        }
        eventually("new workers", SOON, || {
            let now = serving(&server);
            now.len() == 2 && !now.is_subset(&all)
        });
        all.extend(serving(&server));
    }
    let report = background.stop();
    report.assert_none_lost();
    for client in &mut idle {
        let response = client.get("/");
        assert!(response.is_ok(), "{sharing}: {response:?}\n{}", server.describe());
    }
    drop(idle);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait(SOON).code(), Some(0));
}

#[test]
fn a_reload_loses_neither_requests_nor_connections() {
    thread::scope(|scope| {
        for sharing in SHARINGS {
            scope.spawn(move || torment(sharing, 2, Signal::SIGHUP));
        }
    });
}

#[test]
fn sigterm_to_workers_loses_neither_requests_nor_connections() {
    torment("shared", 5, Signal::SIGTERM);
}

#[test]
#[ignore = "takes a minute"]
fn four_hundred_times_sigterm_loses_neither_requests_nor_connections() {
    for sharing in SHARINGS {
        torment(sharing, 134, Signal::SIGTERM);
    }
}
