//! Nothing is left behind, however the parent ends; and no process holds what it
//! was not given.

mod common;

use std::{collections::HashSet, time::Duration};

use common::{
    LONG, child_named, connections, load, program, server, serving, sockets,
};
use testkit::{
    Running, Signal, assert_all_gone, eventually, fds, node, node_program,
};

const SOON: Duration = Duration::from_secs(2);

/// Ends the parent in the middle of load, by each signal.
fn assert_leaves_nothing(start: impl Fn() -> Running) {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGKILL] {
        println!("{signal}");
        let server = start();
        let port = server.port();
        let load = load(&server, 8).start();
        load.wait_for_more(100, LONG);
        let family = server.processes();
        assert_eq!(family.len(), 3, "the parent and two children: {family:?}");
        server.signal(signal);
        assert_all_gone(&family, Some(port), SOON);
        load.stop();
        assert!(
            server.processes().is_empty(),
            "nor a process that was started meanwhile"
        );
    }
}

#[test]
fn the_end_of_the_parent_is_the_end_of_its_workers() {
    assert_leaves_nothing(server);
}

#[test]
fn and_of_node_children_that_know_nothing_of_it() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/subprocess.js"));
    assert_leaves_nothing(|| {
        let words = ["--port", "0", "--exec"];
        serving(program().args(words).arg(&node).arg(&script))
    });
}

#[test]
fn and_of_children_that_trap_every_signal_and_never_look_at_their_channel() {
    let script = "trap '' TERM INT HUP; while :; do sleep 1; done";
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let words = ["--port", "0", "--exec", "sh", "-c", script, "sh"];
        let server = serving(program().args(words));
        // What the children start is their own business.
        let mut ours = server.children();
        ours.push(server.process());
        let port = server.port();
        server.signal(signal);
        assert_all_gone(&ours, Some(port), SOON);
    }
}

/// A client is slow; the parent is killed. Its worker stays a second for it, and
/// no longer.
#[test]
fn a_slow_client_does_not_keep_a_worker_alive() {
    let server = server();
    let _slow: Vec<_> = (0..20)
        .map(|_| testkit::http::Client::connect(server.addr()).expect("it listens"))
        .collect();
    let children = server.children();
    eventually("all of them are with the workers", LONG, || {
        children.iter().map(|child| connections(child.pid)).sum::<usize>() == 20
    });
    let family = server.processes();
    let port = server.port();
    server.signal(Signal::SIGKILL);
    assert_all_gone(&family, Some(port), SOON);
}

/// The parent's, when the last connection is acknowledged: the listener and two
/// channels.
#[track_caller]
fn own_sockets(server: &Running) -> HashSet<String> {
    let pid = server.pid();
    eventually("the parent has given all connections away", LONG, || {
        sockets(pid).len() == 3
    });
    sockets(pid)
}

#[test]
fn a_worker_holds_its_standard_streams_and_its_own_channel_and_nothing_else() {
    let server = server();
    load(&server, 8).run_total(200).assert_none_lost();
    let pids = ["normal", "special"].map(|name| child_named(&server, name));
    for pid in pids {
        eventually("it has closed its connections", LONG, || connections(pid) == 0);
        let open = fds(pid);
        let numbers: Vec<i32> =
            open.iter().map(|(number, _)| *number).take(3).collect();
        assert_eq!((numbers, sockets(pid).len()), (vec![0, 1, 2], 1), "{open:?}");
        let others =
            open[3..].iter().filter(|(_, name)| !sockets(pid).contains(name));
        assert_eq!(others.count(), 0, "besides, nothing but its channel: {open:?}");
    }
    let all: HashSet<String> = pids.iter().flat_map(|&pid| sockets(pid)).collect();
    assert_eq!(all.len(), 2, "a channel each: {all:?}");
    let parents = own_sockets(&server);
    assert!(all.is_disjoint(&parents), "a worker holds a socket of the parent's");
}

#[test]
fn a_node_child_holds_nothing_of_the_parent_or_of_its_sibling() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/subprocess.js"));
    let server =
        serving(program().args(["--port", "0", "--exec"]).arg(node).arg(&script));
    load(&server, 8).run_total(200).assert_none_lost();
    own_sockets(&server);
    let [normal, special] =
        ["normal", "special"].map(|name| sockets(child_named(&server, name)));
    assert!(
        !normal.is_empty() && !special.is_empty(),
        "each has its channel at least"
    );
    assert!(normal.is_disjoint(&special), "{normal:?} and {special:?}");
    let parents = own_sockets(&server);
    assert!(
        normal.union(&special).all(|socket| !parents.contains(socket)),
        "{parents:?}"
    );
}
