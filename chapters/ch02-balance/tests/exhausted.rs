//! Descriptors run out: in the parent and in the children.

mod common;

use std::{net::TcpStream, process::Command, thread, time::Duration};

use ch02_balance::Received;
use common::{
    LONG, Ours, assert_answered, assert_no_busy_loop, child_named, connect,
    limited, load, serving,
};
use serde_json::json;
use testkit::{Process, Signal, eventually};

/// accept(2) fails with EMFILE and leaves the connection in the queue, so poll(2)
/// calls again.
#[test]
fn a_parent_without_descriptors_says_so_waits_and_loses_no_connection() {
    let server = serving(limited(12, "--port 0"));
    let children = ["normal", "special"].map(|name| child_named(&server, name));
    let children = children.map(|pid| Process::of(pid).expect("it is there"));
    for child in children {
        child.signal(Signal::SIGSTOP);
    }
    // No child acknowledges, so the parent keeps its copies.
    let clients: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    server.wait_for_stderr("cannot accept: Too many open files");
    assert_no_busy_loop(&server);
    for child in children {
        child.signal(Signal::SIGCONT);
    }
    clients.into_iter().for_each(assert_answered);
    load(&server, 2).run_total(100).assert_none_lost();
}

/// The kernel delivers the message and drops the descriptor (MSG_CTRUNC); the
/// child says NACK.
#[test]
fn children_without_descriptors_lose_no_connection_either() {
    let server = serving(limited(12, "--port 0"));
    let clients: Vec<TcpStream> = (0..40).map(|_| connect(&server)).collect();
    server.wait_for_stderr("without its descriptor");
    assert_no_busy_loop(&server);
    clients.into_iter().for_each(assert_answered);
    load(&server, 2).run_total(100).assert_none_lost();
    assert_eq!(server.children().len(), 2, "and no child died of it");
}

#[test]
fn a_handle_that_a_full_worker_cannot_take_comes_back_after_three_tries() {
    let (worker, stream) = limited(8, "worker normal").channel();
    let worker = worker.start();
    let mut channel = Ours::new(stream, 4);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (mut clients, mut acked, mut refused) = (Vec::new(), 0, None);
    while refused.is_none() {
        assert!(acked < 8, "a table of 8 is full by now");
        clients.push(TcpStream::connect(addr).expect("we listen"));
        channel.give(json!(acked), listener.accept().expect("the client").0);
        match channel.next() {
            Received::Acked => acked += 1,
            Received::Returned(message, fd) => refused = Some((message, fd)),
            other => panic!("{other:?}"),
        }
    }
    let (message, fd) = refused.expect("the loop ended");
    assert_eq!(message, json!(acked));
    assert!(acked >= 3, "0, 1, 2 and the channel leave room for some: {acked}");
    let tries = || worker.stderr().matches("without its descriptor").count();
    eventually("the worker complains of each of three tries", LONG, || {
        tries() == 3
    });

    // Its clients leave; there is room again.
    let waits = clients.pop().expect("the client that was refused");
    drop(clients);
    let mut again = Some((message, fd));
    eventually("it has room again", LONG, || {
        let Some((message, fd)) = again.take() else { return true };
        channel.give(message, fd);
        match channel.next() {
            Received::Returned(message, fd) => again = Some((message, fd)),
            Received::Acked => {}
            other => panic!("{other:?}"),
        }
        again.is_none()
    });
    waits.set_read_timeout(Some(LONG)).expect("a time-out");
    assert_answered(waits);
}

/// prlimit(2) can lower the limit below what is open: poll(2) says EINVAL then. A
/// worker serves what it has, a parent sends what it had accepted, and both go on
/// when there is room again.
#[test]
fn a_limit_that_is_lowered_below_what_is_open_ends_no_process() {
    let lower = |limit: i32| {
        let server = common::server();
        let waiting: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
        let processes = server.processes();
        eventually("the workers have them", LONG, || {
            let children = &processes[1..];
            children.iter().map(|it| common::connections(it.pid)).sum::<usize>()
                == 20
        });
        let set = |pid: i32, limit: &str| {
            let status = Command::new("prlimit")
                .args(["--pid", &pid.to_string(), &format!("--nofile={limit}:")])
                .status();
            assert!(status.expect("prlimit").success());
        };
        processes.iter().for_each(|it| set(it.pid, &limit.to_string()));
        let late = connect(&server);
        assert_no_busy_loop(&server);
        waiting.into_iter().for_each(assert_answered);
        processes.iter().for_each(|it| set(it.pid, "4096"));
        assert_answered(late);
        load(&server, 2).run_total(100).assert_none_lost();
        assert_eq!(server.processes(), processes, "{limit}: {}", server.stderr());
    };
    thread::scope(|scope| {
        for limit in [8, 1, 0] {
            scope.spawn(move || lower(limit));
        }
    });
}

/// Out of descriptors for a while: the log is not filled.
#[test]
fn a_parent_without_descriptors_does_not_fill_its_log() {
    let server = serving(limited(12, "--port 0"));
    for name in ["normal", "special"] {
        let child = Process::of(child_named(&server, name)).expect("it is there");
        child.signal(Signal::SIGSTOP);
    }
    let _clients: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    server.wait_for_stderr("cannot accept");
    thread::sleep(Duration::from_millis(600));
    let lines = server.stderr().lines().count();
    assert!((3..40).contains(&lines), "{lines} lines in a second or two");
}
