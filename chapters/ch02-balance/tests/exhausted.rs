//! Descriptors run out: in the parent and in the children.

mod common;

use std::net::TcpStream;

use ch02_balance::Incoming;
use common::{
    LONG, assert_answered, assert_no_busy_loop, child_named, connect, limited,
    load, next, pass, serving,
};
use serde_json::json;
use testkit::{Process, Signal, eventually};

/// accept(2) fails with EMFILE and leaves the connection in the queue, so poll(2) calls again.
#[test]
fn a_parent_without_descriptors_says_so_waits_and_loses_nobody() {
    let server = serving(limited(12, "--port 0"));
    let children = ["normal", "special"].map(|name| child_named(&server, name));
    let children = children.map(|pid| Process::of(pid).expect("it is there"));
    for child in children {
        child.signal(Signal::SIGSTOP);
    }
    // Nobody acknowledges, so the parent keeps its copies.
    let clients: Vec<TcpStream> = (0..20).map(|_| connect(&server)).collect();
    server.wait_for_stderr("cannot accept a connection: Too many open files");
    assert_no_busy_loop(&server);
    for child in children {
        child.signal(Signal::SIGCONT);
    }
    // One after another leaves; those who have waited longest are first.
    clients.into_iter().for_each(assert_answered);
    load(&server, 2).run_total(100).assert_none_lost();
}

/// The kernel delivers the message and drops the descriptor (MSG_CTRUNC); the child says NACK.
#[test]
fn children_without_descriptors_lose_nobody_either() {
    let server = serving(limited(12, "--port 0"));
    let clients: Vec<TcpStream> = (0..40).map(|_| connect(&server)).collect();
    server.wait_for_stderr("no descriptor is free");
    assert_no_busy_loop(&server);
    clients.into_iter().for_each(assert_answered);
    load(&server, 2).run_total(100).assert_none_lost();
    assert_eq!(server.children().len(), 2, "and nobody died of it");
}

#[test]
fn a_handle_that_a_full_worker_cannot_take_comes_back_after_three_tries() {
    let (worker, stream) = limited(8, "worker normal").channel();
    let worker = worker.start();
    let mut channel =
        ch02_balance::FdChannel::with_window(stream, 4).expect("a channel");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let (mut clients, mut acked, mut refused) = (Vec::new(), 0, None);
    while refused.is_none() {
        assert!(acked < 8, "a table of 8 is full by now");
        clients.push(TcpStream::connect(addr).expect("we listen"));
        pass(&mut channel, json!(acked), listener.accept().expect("the client").0);
        match next(&mut channel) {
            Incoming::Acked => acked += 1,
            Incoming::Refused(message, fd) => refused = Some((message, fd)),
            other => panic!("{other:?}"),
        }
    }
    let (message, fd) = refused.expect("the loop ended");
    assert_eq!(message, json!(acked));
    assert!(acked >= 3, "0, 1, 2 and the channel leave room for some: {acked}");
    let tries = || worker.stderr().matches("no descriptor is free").count();
    eventually("the worker complains of each of three tries", LONG, || {
        tries() == 3
    });

    // Its clients leave; there is room again.
    let waits = clients.pop().expect("the one that was refused");
    drop(clients);
    let mut again = Some((message, fd));
    eventually("it has room again", LONG, || {
        let Some((message, fd)) = again.take() else { return true };
        pass(&mut channel, message, fd);
        match next(&mut channel) {
            Incoming::Refused(message, fd) => again = Some((message, fd)),
            Incoming::Acked => {}
            other => panic!("{other:?}"),
        }
        again.is_none()
    });
    waits.set_read_timeout(Some(LONG)).expect("a time-out");
    assert_answered(waits);
}
