//! What clients see: which child answers, and that the answer arrives whole.

mod common;

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    thread,
    time::Duration,
};

use common::{LONG, child_named, connections, load, server};
use testkit::{
    Running, alive, cpu_time, eventually, fds,
    http::{Client, raw_exchange},
    pid_in, zombies_of,
};

const REQUEST: &[u8] = b"GET / HTTP/1.0\r\n\r\n";

/// Which child has answered: the name in the reply.
#[track_caller]
fn name_in(server: &Running, reply: &str) -> String {
    for name in ["normal", "special"] {
        let pid = child_named(server, name);
        if reply
            == format!("Request handled with {name} priority, running on {pid}")
        {
            return name.to_owned();
        }
    }
    panic!("no reply of a child: {reply:?}\n{}", server.stdout());
}

fn connect(server: &Running) -> TcpStream {
    let stream = TcpStream::connect(server.addr()).expect("it listens");
    stream.set_read_timeout(Some(LONG)).expect("a time-out");
    stream.set_write_timeout(Some(LONG)).expect("a time-out");
    stream
}

#[track_caller]
fn read_all(mut stream: &TcpStream) -> String {
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("the whole reply, and no reset");
    reply
}

#[test]
fn the_two_children_take_turns() {
    let server = server();
    let names: Vec<String> = (0..20)
        .map(|_| raw_exchange(server.addr(), REQUEST).expect("a reply"))
        .map(|reply| name_in(&server, &reply))
        .collect();
    for (n, name) in names.iter().enumerate() {
        assert_eq!(name, ["normal", "special"][n % 2], "{names:?}");
    }
}

/// close(2) with unread bytes resets the connection, and the reset may overtake
/// the reply.
#[test]
fn the_reply_is_whole_although_the_request_is_not_read_first() {
    let server = server();
    let big = vec![b'x'; 64 << 10];
    for request in [&b""[..], b"x", REQUEST, &big, &[b'x'; 4096]] {
        for _ in 0..20 {
            let mut stream = connect(&server);
            // The child does not have to read all of it: what the kernel takes is
            // enough.
            stream.write_all(request).expect("it is sent");
            stream.shutdown(Shutdown::Write).expect("shutdown");
            name_in(&server, &read_all(&stream));
        }
    }
}

#[test]
fn a_request_that_comes_after_the_reply_is_no_error() {
    let server = server();
    for size in [1, 64 << 10, 1 << 20] {
        let mut stream = connect(&server);
        name_in(&server, &read_all(&stream));
        stream.write_all(&vec![b'x'; size]).expect("the child reads it away");
        stream.shutdown(Shutdown::Write).expect("shutdown");
        assert_eq!(read_all(&stream), "", "and it is no reset either");
    }
}

#[test]
fn a_client_that_ends_its_side_first_has_its_reply() {
    let server = server();
    for _ in 0..20 {
        let stream = connect(&server);
        stream.shutdown(Shutdown::Write).expect("shutdown");
        name_in(&server, &read_all(&stream));
    }
}

#[test]
fn a_client_that_resets_harms_no_other() {
    let server = server();
    for _ in 0..100 {
        let stream = connect(&server);
        let socket = nix::sys::socket::sockopt::Linger;
        let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&stream, socket, &at_once).expect("linger");
    }
    load(&server, 4).run_total(200).assert_none_lost();
    assert_eq!(server.children().len(), 2, "{}", server.stdout());
}

#[test]
fn clients_that_stay_do_not_keep_the_others_waiting() {
    let server = server();
    let idle: Vec<Client> = (0..200)
        .map(|_| Client::connect(server.addr()).expect("it listens"))
        .collect();
    let report = load(&server, 4).run_total(400);
    report.assert_none_lost();
    assert!(
        report.slowest < Duration::from_secs(4),
        "less than they may linger: {report}"
    );
    drop(idle);
}

/// It answers, and then waits a second for the client to close: not for ever.
#[test]
fn a_client_that_never_closes_is_closed_in_the_end() {
    let server = server();
    let stream = connect(&server);
    name_in(&server, &read_all(&stream));
    let child = child_named(&server, "normal");
    assert_eq!(connections(child), 1, "{:?}", fds(child));
    eventually("its place is free again", LONG, || connections(child) == 0);
}

/// Nor is a client cut off that sends for longer than it may be silent, and reads
/// then.
#[test]
fn a_client_that_uploads_slowly_and_reads_later_has_its_reply() {
    let server = server();
    let mut stream = connect(&server);
    for _ in 0..5 {
        stream.write_all(&[b'x'; 1024]).expect("the child reads it away");
        thread::sleep(Duration::from_millis(300));
    }
    stream.shutdown(Shutdown::Write).expect("shutdown");
    name_in(&server, &read_all(&stream));
}

#[test]
fn ten_thousand_connections_from_sixteen_clients_are_split_exactly() {
    let server = server();
    let report = load(&server, 16).run_total(10_000);
    report.assert_none_lost();
    for name in ["normal", "special"] {
        assert_eq!(
            report.by_name.get(name),
            Some(&5_000),
            "{:?}\n{report}",
            report.by_name
        );
        assert_eq!(
            report.by_pid.get(&child_named(&server, name)),
            Some(&5_000),
            "{report}"
        );
    }
    assert_eq!(server.stderr(), "");
}

#[test]
fn the_children_are_two_processes_and_not_the_parent() {
    let server = server();
    let pids = ["normal", "special"].map(|name| child_named(&server, name));
    let reply = raw_exchange(server.addr(), REQUEST).expect("a reply");
    assert!(pids.contains(&pid_in(&reply).expect("a pid")), "{reply}");
    assert!(pids[0] != pids[1] && !pids.contains(&server.pid()));
    assert!(pids.iter().all(|&pid| alive(pid)));
    let children: Vec<i32> =
        server.children().iter().map(|child| child.pid).collect();
    assert_eq!(children, pids);
    assert!(zombies_of(server.pid()).is_empty());
}

#[test]
fn no_process_uses_the_cpu_while_there_is_nothing_to_do() {
    let server = server();
    load(&server, 8).run_total(500).assert_none_lost();
    let all: Vec<i32> =
        server.processes().iter().map(|process| process.pid).collect();
    assert_eq!(all.len(), 3);
    eventually("the last connections are closed", LONG, || {
        all[1..].iter().all(|&pid| connections(pid) == 0)
    });
    let before: Vec<Duration> = all.iter().map(|&pid| cpu_time(pid)).collect();
    thread::sleep(Duration::from_millis(500));
    for (&pid, before) in all.iter().zip(before) {
        let used = cpu_time(pid) - before;
        assert!(
            used < Duration::from_millis(20),
            "{pid} used {used:?} of half an idle second"
        );
    }
}
