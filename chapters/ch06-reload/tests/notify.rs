//! What the service manager is told (sd_notify(3), Type=notify-reload).

mod common;

use std::{
    io::ErrorKind,
    os::linux::net::SocketAddrExt as _,
    os::unix::net::{SocketAddr, UnixDatagram},
    time::{Duration, Instant},
};

use common::{SOON, Server, numbered, setup, signal};
use testkit::Signal;

/// The next message to the service manager, as its lines.
#[track_caller]
fn next(manager: &UnixDatagram) -> Vec<String> {
    let mut bytes = [0; 4096];
    match manager.recv(&mut bytes) {
        Ok(length) => {
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            text.lines().map(str::to_owned).collect()
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            panic!("the service manager is told nothing");
        }
        Err(error) => panic!("{error}"),
    }
}

/// A reload begins, and the message says when: systemd ignores it otherwise.
#[track_caller]
fn assert_reloading(message: &[String]) {
    assert_eq!(message[0], "RELOADING=1");
    let time = message[1].strip_prefix("MONOTONIC_USEC=").expect("the time");
    assert!(time.parse::<u64>().is_ok_and(|time| time > 0), "{message:?}");
}

/// A start or a reload has ended, and `systemctl status` shows how.
#[track_caller]
fn assert_ready(message: &[String], how: &str) {
    assert_eq!(message[0], "READY=1");
    let status = message[1].strip_prefix("STATUS=").expect("a status");
    assert!(message.len() == 2 && status.contains(how), "{message:?}");
}

#[test]
fn each_reload_has_an_end() {
    let (manager, server) = managed(&numbered(1, 1), &[]);
    assert_ready(&next(&manager), "all workers are ready");

    server.configure(&numbered(1, 2));
    server.send(Signal::SIGHUP);
    assert_reloading(&next(&manager));
    assert_ready(&next(&manager), "done, generation 2");

    // Without an end, `systemctl reload` would wait for 90 s.
    server.configure("workers = 0");
    server.send(Signal::SIGHUP);
    assert_reloading(&next(&manager));
    assert_ready(&next(&manager), "workers: 0 is not");
}

/// A socket for the messages to the service manager, and a server that has it. Its first
/// message has not been received yet.
fn managed(config: &str, variables: &[(&str, &str)]) -> (UnixDatagram, Server) {
    let mut setup = setup(config);
    let path = setup.dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("to bind");
    manager.set_read_timeout(Some(SOON)).expect("to set a limit");
    for (name, value) in variables {
        setup = setup.env(name, value);
    }
    (manager, setup.env("NOTIFY_SOCKET", path).ready())
}

#[test]
fn an_upgrade_names_the_new_master_and_a_stop_is_told() {
    let (manager, server) = managed(&numbered(1, 1), &[]);
    assert_ready(&next(&manager), "all workers are ready");
    server.upgrade();
    let new = format!("MAINPID={}", server.master().pid);
    // The two processes do not wait for each other.
    let mut told = [next(&manager), next(&manager)];
    told.sort();
    assert_eq!(told[0], [new]);
    assert_ready(&told[1], "all workers are ready");
    server.send(Signal::SIGTERM);
    assert_eq!(next(&manager), ["STOPPING=1"]);
}

#[test]
fn a_reload_that_is_undone_has_an_end() {
    let (manager, server) = managed(&numbered(1, 1), &[]);
    assert_ready(&next(&manager), "all workers are ready");
    let folder = server.path("folder");
    std::fs::create_dir(&folder).expect("to make");
    let large = std::fs::File::create(folder.join("large")).expect("to make");
    large.set_len(65 << 20).expect("to make it large");
    server.configure("workers = 1\nfolder = 'folder'\n");
    server.send(Signal::SIGHUP);
    assert_reloading(&next(&manager));
    assert_ready(&next(&manager), "undone");
    server.wait_for_stderr("reload: undone");
}

/// `READY=1` is sent when the workers are ready, and not before.
#[test]
fn a_server_whose_workers_are_not_ready_is_not_ready() {
    let setup = setup("workers = 1\n").args(&["--exec", "sleep", "1000"]);
    let path = setup.dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).expect("to bind");
    let server = setup.env("NOTIFY_SOCKET", path).start();
    server.wait_for_line("started");
    manager.set_read_timeout(Some(SOON / 50)).expect("to set a limit");
    let nothing = manager.recv(&mut [0; 100]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock));
}

/// Twice in its limit, also while the server is idle; and not if the master does not run.
#[test]
fn the_watchdog_is_told_twice_in_each_limit() {
    const LIMIT: Duration = Duration::from_millis(200);
    let (manager, server) =
        managed(&numbered(1, 1), &[("WATCHDOG_USEC", "200000")]);
    let until_next = || {
        let began = Instant::now();
        while next(&manager) != ["WATCHDOG=1"] {}
        began.elapsed()
    };
    until_next();
    let took: Vec<Duration> = (0..4).map(|_| until_next()).collect();
    let whole: Duration = took.iter().sum();
    assert!(whole > LIMIT * 3 / 2 && whole < LIMIT * 4, "{took:?}");
    // A new master takes over that, too.
    server.upgrade();
    manager.set_nonblocking(true).expect("to set");
    while manager.recv(&mut [0; 100]).is_ok() {}
    manager.set_nonblocking(false).expect("to set");
    until_next();
    until_next();
    signal(server.master(), Signal::SIGSTOP);
    manager.set_nonblocking(true).expect("to set");
    while manager.recv(&mut [0; 100]).is_ok() {}
    manager.set_nonblocking(false).expect("to set");
    manager.set_read_timeout(Some(LIMIT * 2)).expect("to set a limit");
    let nothing = manager.recv(&mut [0; 100]).map_err(|error| error.kind());
    assert_eq!(nothing, Err(ErrorKind::WouldBlock));
}

/// A worker that sends `READY=1` or reads descriptor 3 would be a mistake.
#[test]
fn workers_do_not_inherit_what_is_for_the_master() {
    let (_manager, server) = managed(
        &numbered(2, 1),
        &[("WATCHDOG_USEC", "400000"), ("LISTEN_PID", "1"), ("LISTEN_FDS", "1")],
    );
    for _ in 0..2 {
        for worker in server.workers() {
            let path = format!("/proc/{}/environ", worker.pid);
            let environment = std::fs::read(path).expect("to read");
            let environment = String::from_utf8_lossy(&environment);
            let variables = ["NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_"];
            for name in variables {
                assert!(
                    !environment.split('\0').any(|it| it.starts_with(name)),
                    "{environment}"
                );
            }
        }
        server.upgrade();
    }
}

/// The service manager may be gone, and the server serves all the same.
#[test]
fn without_its_service_manager_a_server_serves_on() {
    let (manager, server) = managed(&numbered(1, 1), &[]);
    drop(manager);
    server.reload();
    server.wait_for_stderr("cannot notify");
    server.load(1).run_total(10).assert_none_lost();
}

/// …or it may be there, and not read. Its socket need not be a file.
#[test]
fn a_service_manager_that_does_not_read_stops_nothing() {
    let name = format!("ch06-reload-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).expect("a short name");
    let manager = UnixDatagram::bind_addr(&address).expect("to bind");
    manager.set_read_timeout(Some(SOON)).expect("to set a limit");
    let setup = setup(&numbered(1, 1));
    let server = setup.env("NOTIFY_SOCKET", format!("@{name}")).ready();
    assert_ready(&next(&manager), "all workers are ready");
    // Each sender has a limit of its own, too.
    let mut has_room = true;
    while has_room {
        let sender = UnixDatagram::unbound().expect("a socket");
        sender.set_nonblocking(true).expect("to set");
        let sent = || sender.send_to_addr(b"", &address).is_ok();
        has_room =
            std::iter::repeat_with(sent).take_while(|&sent| sent).count() > 0;
    }
    server.reload();
    server.wait_for_stderr("cannot notify");
}
