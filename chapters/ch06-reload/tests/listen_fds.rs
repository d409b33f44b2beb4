//! A listener that the service manager has opened: systemd's protocol
//! (sd_listen_fds(3)).

mod common;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use common::{PROGRAM, PROMPT, SOON, installed, numbered, request};
use testkit::http::Client;
use testkit::{
    Program, Running, Signal, TempDir, assert_all_gone, eventually, free_port,
    http, pid_in, temp_dir,
};

/// Starts the program with `listener` as descriptor 3, as systemd does. `pid` is the
/// shell's word for `LISTEN_PID`.
fn start(listener: &TcpListener, pid: &str, folder: &TempDir) -> Running {
    let config = folder.write("site.toml", numbered(2, 1));
    let command = format!(
        "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID={pid} exec \"$@\" --demo"
    );
    let copy = OwnedFd::from(listener.try_clone().expect("a copy"));
    Program::new("sh")
        .args(["-c", &command, "sh", PROGRAM, "--port", "0", "--config"])
        .arg(config)
        .stdin(copy)
        .start()
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("its address");
    (listener, addr)
}

fn asked(addr: SocketAddr, path: &str) -> Client {
    let mut client = Client::connect(addr).expect("to connect");
    client.send_raw(&request(path)).expect("to send");
    client
}

#[test]
fn a_request_that_waited_from_before_the_start_is_answered() {
    let (listener, addr) = listener();
    let folder = temp_dir();
    let mut early: Vec<_> = (0..5).map(|_| asked(addr, "/")).collect();
    let server = start(&listener, "$$", &folder);
    for client in &mut early {
        let response = client.read_response().expect("a response");
        assert_eq!(pid_in(&response.body), Some(1));
    }
    assert_eq!(server.addr(), addr, "it says where it listens");
    server.signal(Signal::SIGTERM);
    drop(early);
    assert_eq!(server.wait(PROMPT).code(), Some(0), "{}", server.describe());
    assert_eq!(server.stderr(), "");
}

/// The variables name another process: the descriptor is not for this one.
#[test]
fn with_another_process_id_the_descriptor_is_left_alone() {
    let (listener, addr) = listener();
    let folder = temp_dir();
    let server = start(&listener, "1", &folder);
    assert_ne!(server.addr(), addr);
    eventually("it serves", SOON, || http::get(server.addr()).is_ok());
}

/// The service manager keeps its listener: what comes while no server runs waits for the
/// next one, and no connection is refused or reset.
#[test]
fn a_restart_loses_no_request() {
    let (listener, addr) = listener();
    let folder = temp_dir();
    let load = testkit::load::Load {
        addr,
        clients: 4,
        kind: testkit::load::Kind::HttpClose,
    };
    let load = load.start();
    for end in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGTERM] {
        let server = start(&listener, "$$", &folder);
        load.wait_for_more(100, SOON);
        let family = server.processes();
        server.signal(end);
        let code = server.wait(PROMPT).code();
        assert_eq!(code, Some(0), "{}", server.describe());
        assert_all_gone(&family, None, PROMPT);
    }
    let _server = start(&listener, "$$", &folder);
    load.wait_for_more(100, SOON);
    load.stop().assert_none_lost();
}

#[test]
fn an_upgrade_keeps_the_service_managers_listener() {
    let (listener, addr) = listener();
    let folder = temp_dir();
    let server = start(&listener, "$$", &folder);
    eventually("it serves", SOON, || http::get(addr).is_ok());
    server.signal(Signal::SIGUSR2);
    server.wait_for_line("has taken over");
    assert_eq!(server.wait(PROMPT).code(), Some(0));
    http::get(addr).expect("the new one serves");
    let mut busy = asked(addr, "/busy/200");
    for process in server.processes() {
        process.signal(Signal::SIGTERM);
    }
    assert_eq!(busy.read_response().expect("a response").status, 200);
    drop(busy);
    assert_all_gone(&server.processes(), None, PROMPT);
    // The listener was not closed for new connections.
    let mut late = asked(addr, "/");
    let _next = start(&listener, "$$", &folder);
    assert_eq!(late.read_response().expect("a response").status, 200);
}

#[test]
fn what_is_no_tcp_listener_is_told() {
    let folder = temp_dir();
    let config = folder.write("site.toml", numbered(1, 1));
    let run = |redirect: &str, count: u32| {
        let command = format!(
            "exec {redirect}; LISTEN_FDS={count} LISTEN_PID=$$ exec \"$@\""
        );
        Program::new("sh")
            .args(["-c", &command, "sh", PROGRAM, "--port", "0", "--config"])
            .arg(&config)
            .output()
    };
    for (redirect, count, told) in [
        ("3</dev/null", 1, "cannot use the listener of LISTEN_FDS"),
        ("3</dev/null 4</dev/null", 2, "cannot use 2 listeners, only one"),
    ] {
        let output = run(redirect, count);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stderr.contains(told), "{output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    }
}

/// That is what systemd passes if the socket's unit says `Accept=yes`.
#[test]
fn a_connection_is_no_listener() {
    let (_listener, addr) = listener();
    let connection = TcpStream::connect(addr).expect("to connect");
    let output = Program::new("sh")
        .args(["-c", "exec 3<&0; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\"", PROGRAM])
        .stdin(OwnedFd::from(connection))
        .limit(SOON)
        .output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("does not listen"), "{output:?}");
}

#[test]
fn started_by_systemd_socket_activate() {
    if !installed("systemd-socket-activate") {
        return;
    }
    let folder = temp_dir();
    let config = folder.write("site.toml", numbered(2, 1));
    let addr = format!("127.0.0.1:{}", free_port());
    let server = Program::new("systemd-socket-activate")
        .args(["-l", &addr, PROGRAM, "--config"])
        .arg(config)
        .start();
    server.wait_for_stderr("Listening on");
    // It starts the program when a client connects; the request waits in the backlog.
    let mut first = asked(addr.parse().expect("an address"), "/");
    assert_eq!(first.read_response().expect("a response").status, 200);
    assert_eq!(server.addr().to_string(), addr);
    server.signal(Signal::SIGUSR2);
    server.wait_for_line("has taken over");
    http::get(server.addr()).expect("the new one serves");
    drop(first);
    let family = server.processes();
    for process in &family {
        process.signal(Signal::SIGTERM);
    }
    assert_all_gone(&family, Some(server.port()), PROMPT);
}
