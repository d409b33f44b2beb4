//! Node speaks the same: as children of a Rust parent, and as the parent of Rust workers.

mod common;

use std::{io::Read, net::TcpStream};

use common::{LONG, child_named, connections, load, program, serving};
use testkit::{
    NodeScript, Program, Running, Signal, eventually,
    http::raw_exchange,
    load::{Kind, Load},
    node, node_program,
};

/// The chapter's parent with two Node children, or `None` where there is no node.
fn with_node_children() -> Option<(Running, NodeScript)> {
    let script = node_program(include_str!("node/subprocess.js"));
    let command =
        program().args(["--port", "0", "--exec"]).arg(node()?).arg(&script);
    Some((serving(command), script))
}

/// A Node parent with two of the chapter's workers.
fn node_parent() -> Option<(Running, NodeScript)> {
    let script = node_program(include_str!("node/server.js"));
    let worker = env!("CARGO_BIN_EXE_ch02-balance");
    let server = Program::new(node()?).arg(&script).arg(worker).start();
    Some((server, script))
}

fn clients(server: &Running, clients: usize) -> Load {
    Load { addr: server.addr(), clients, kind: Kind::Raw }
}

#[test]
fn two_node_children_take_turns() {
    let Some((server, _script)) = with_node_children() else { return };
    for n in 0..10 {
        let name = ["normal", "special"][n % 2];
        let pid = child_named(&server, name);
        let reply = raw_exchange(server.addr(), b"").expect("a reply");
        assert_eq!(
            reply,
            format!("Request handled with {name} priority, running on {pid}")
        );
    }
}

#[test]
fn a_thousand_connections_to_node_children_are_answered_and_split_exactly() {
    let Some((server, _script)) = with_node_children() else { return };
    let report = load(&server, 16).run_total(1000);
    report.assert_none_lost();
    assert_eq!(report.by_name.get("normal"), Some(&500), "{:?}", report.by_name);
    assert_eq!(server.stderr(), "", "and Node warns of nothing");
}

#[test]
fn a_node_child_that_is_killed_is_replaced() {
    let Some((server, _script)) = with_node_children() else { return };
    let load = load(&server, 8).start();
    load.wait_for_more(100, LONG);
    let former = child_named(&server, "normal");
    testkit::Process::of(former).expect("it is there").signal(Signal::SIGKILL);
    eventually("it is replaced", LONG, || child_named(&server, "normal") != former);
    load.wait_for_more(200, LONG);
    let report = load.stop();
    assert!(
        report.lost_count <= 8,
        "at most what it held, and there are 8 clients\n{report}"
    );
}

#[test]
fn the_workers_answer_sockets_that_a_node_parent_sends() {
    let Some((server, _script)) = node_parent() else { return };
    for n in 0..10 {
        let reply = raw_exchange(server.addr(), b"GET / HTTP/1.0\r\n\r\n")
            .expect("a reply");
        let name = ["normal", "special"][n % 2];
        assert!(
            reply.starts_with(&format!("Request handled with {name} priority,")),
            "{reply}"
        );
    }
    let report = clients(&server, 4).run_total(500);
    report.assert_none_lost();
    assert_eq!(report.by_name.get("normal"), Some(&250), "{:?}", report.by_name);
}

/// `server.close()` waits for the sockets in the children, and asks them: NODE_SOCKET_*.
#[test]
fn a_node_parent_can_count_and_await_the_sockets_that_it_gave_away() {
    let Some((server, _script)) = node_parent() else { return };
    clients(&server, 4).run_total(100).assert_none_lost();
    let workers = server.children();
    eventually("all of those are closed", LONG, || {
        workers.iter().all(|worker| connections(worker.pid) == 0)
    });
    // Answered, so a worker has them; and they stay open, for 5 s at the most.
    let held: Vec<TcpStream> = (0..3)
        .map(|_| {
            let mut client = TcpStream::connect(server.addr()).expect("it listens");
            client.set_read_timeout(Some(LONG)).expect("a time-out");
            client.read_to_string(&mut String::new()).expect("a reply");
            client
        })
        .collect();
    server.signal(Signal::SIGUSR2);
    server.wait_for_line("connections 3");
    server.wait_for_line("closing");
    assert!(
        !server.stdout().contains("closed"),
        "three are open still:\n{}",
        server.stdout()
    );
    drop(held);
    server.wait_for_line("closed");
    server.wait_for_lines("exit 0", 2);
    assert!(server.wait(LONG).success());
}
