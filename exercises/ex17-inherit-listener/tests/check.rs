//! What your two functions have to do. `cargo test -p ex17-inherit-listener`

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::symlink;
use std::time::Duration;

use testkit::http::{self, Client, in_words};
use testkit::load::{Kind, Load};
use testkit::{
    Running, Signal, TempDir, exercise, fds, fds_in_words, temp_dir, try_eventually,
};

/// How long we wait for what should happen at once. Long, because the machine may
/// be busy.
const SOON: Duration = Duration::from_secs(8);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Starts your server, which listens by itself.
#[track_caller]
fn server(args: &[&str]) -> Running {
    let server = exercise!().args(["--port", "0"]).args(args).start();
    must_start(&server, 1, "It was started without LISTEN_PID.");
    server
}

/// A service manager starts your server. Returns it with the address at which the service
/// manager listens.
#[track_caller]
fn service(kind: &str, count: &str, whose: &str) -> (Running, SocketAddr) {
    let args = ["as-service", kind, count, whose, "--port", "0"];
    let server = exercise!().args(args).start();
    let line = server.wait_for_line("the service manager listens on ");
    let addr = line.rsplit(' ').next().and_then(|word| word.parse().ok());
    (server, addr.expect("an address"))
}

/// Blocks until your program has said so often that it listens, and returns where.
#[track_caller]
fn must_start(server: &Running, start: u32, hint: &str) -> SocketAddr {
    let needle = format!("start {start}: listening on http://");
    let line = || server.stdout().lines().find_map(|it| address(it, &needle));
    let over = || line().is_some() || server.output_ended();
    let _ = try_eventually(SOON, || over().then_some(()));
    line().unwrap_or_else(|| {
        panic!(
            "your server should say '{needle}…', and has not. {hint}\n{}",
            server.describe()
        )
    })
}

fn address(line: &str, needle: &str) -> Option<SocketAddr> {
    line.split_once(needle)?.1.parse().ok()
}

/// SIGUSR2: your server executes the next version.
#[track_caller]
fn upgrade(server: &Running, start: u32, hint: &str) {
    let addr = must_start(server, start - 1, "");
    server.signal(Signal::SIGUSR2);
    let new = must_start(server, start, hint);
    assert_eq!(
        new, addr,
        "after the upgrade your server should listen at the address on the right. {hint}"
    );
}

/// One request, which must be answered by this start of the program.
#[track_caller]
fn ask(server: &Running, addr: SocketAddr, start: u32, hint: &str) {
    let response = http::get(addr);
    let right = format!("the pid is {}, start {start}\n", server.pid());
    let is_right = response.as_ref().is_ok_and(|it| it.body == right);
    assert!(
        is_right,
        "a client at {addr} should get the response '{}'. {hint}\nIt got {}.\n{}",
        right.trim_end(),
        in_words(&response),
        server.describe()
    );
}

/// The TCP sockets that a process has open: all its sockets that are not in
/// `/proc/net/unix` (proc_net(5)). The table of TCP sockets can have many thousands of
/// lines. Your server has no other than listeners while no client is connected.
fn listeners_of(pid: i32) -> Vec<(i32, String)> {
    // Before and after: one of these Unix sockets may be opened or closed just now.
    let before = unix_sockets();
    let open: Vec<_> = fds(pid)
        .into_iter()
        .filter(|(_, name)| name.starts_with("socket:"))
        .collect();
    let unix = before + &unix_sockets();
    let inode = |name: &str| name["socket:[".len()..name.len() - 1].to_owned();
    let is_unix = |name: &str| unix.contains(&format!(" {} ", inode(name)));
    open.into_iter().filter(|(_, name)| !is_unix(name)).collect()
}

/// The inode numbers of all Unix sockets, with a space before and behind each.
fn unix_sockets() -> String {
    let table = fs::read_to_string("/proc/net/unix").expect("/proc is needed");
    let inodes = table.lines().filter_map(|line| line.split_whitespace().nth(6));
    inodes.map(|inode| format!(" {inode} ")).collect()
}

/// SIGUSR1: your server starts a program that has nothing to do with clients.
#[track_caller]
fn helper(server: &Running) -> i32 {
    let before = server.stdout().matches("helper ").count();
    server.signal(Signal::SIGUSR1);
    let pid = || {
        let said = server.stdout();
        let line =
            said.lines().filter_map(|it| it.strip_prefix("helper ")).nth(before);
        // Until exec it has what its parent has.
        let pid = line?.parse().ok()?;
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
        (name == "sleep\n").then_some(pid)
    };
    try_eventually(SOON, pid).unwrap_or_else(|| {
        panic!(
            "your server should start a helper, and has not\n{}",
            server.describe()
        )
    })
}

#[track_caller]
fn helper_must_not_have_the_listener(server: &Running, story: &str) {
    let copies = listeners_of(helper(server));
    assert!(
        copies.is_empty(),
        "{story} Then the server started a helper, `sleep`, which has inherited the listener as {}. \
         As long as it runs, the port is taken. Which flag closes a descriptor at exec, and who \
         sets it on a descriptor that has come through exec without it?",
        fds_in_words(&copies)
    );
}

#[test]
fn it_serves_the_listener_that_it_inherits() {
    let (server, addr) = service("tcp", "1", "own");
    // It waits in the backlog, if the server does not run yet.
    let mut early = Client::connect(addr).expect("the service manager listens");
    early.send_raw(REQUEST).expect("it is connected");
    let hint = "It was started with a listener as descriptor 3, with LISTEN_FDS=1, and LISTEN_PID \
                is its process id.";
    let serves = must_start(&server, 1, hint);
    assert_eq!(
        serves, addr,
        "your server should listen at the address on the right. {hint}"
    );
    let response = early.read_response();
    assert!(
        response.is_ok(),
        "a client that connected before the server ran should be answered. It got {}.\n{}",
        in_words(&response),
        server.describe()
    );
    ask(&server, addr, 1, hint);
}

#[test]
fn a_listener_for_another_process_is_left_alone() {
    let (server, addr) = service("tcp", "1", "other");
    let story = "It was started with a listener as descriptor 3, but LISTEN_PID is another process \
                 id: its parent, perhaps, for which the listener is, and which has not removed the \
                 variables.";
    let serves =
        must_start(&server, 1, &format!("{story} So it should listen by itself."));
    assert_ne!(
        serves, addr,
        "{story} So your server should listen by itself, at a port of its own. Which variable says \
         for whom the listener is?"
    );
    assert!(
        TcpStream::connect(addr).is_ok(),
        "{story} Descriptor 3 is not yours, and should be left as it is. It is closed. Which value \
         in your function closes it, when it is dropped?"
    );
    ask(&server, serves, 1, story);
}

#[test]
fn what_is_not_a_tcp_listener_is_an_error() {
    for (kind, what) in [
        ("file", "/dev/null"),
        ("closed", "closed"),
        ("udp", "a UDP socket"),
        ("connection", "a TCP connection"),
        ("unix", "a Unix socket that listens"),
    ] {
        let (server, _) = service(kind, "1", "own");
        must_refuse(
            &server,
            &format!(
                "LISTEN_FDS is 1, LISTEN_PID is its process id, but descriptor 3 is {what}. Whom \
                 can you ask what a descriptor is (exercise 8)?"
            ),
        );
    }
}

#[test]
fn two_listeners_are_an_error() {
    for count in ["2", "-1", "many"] {
        let (server, _) = service("tcp", count, "own");
        must_refuse(
            &server,
            &format!(
                "LISTEN_PID is its process id, and LISTEN_FDS is {count}: that is not 1. A server \
                 that uses one of two listeners leaves the clients of the other without an answer."
            ),
        );
    }
}

/// `inherited` returns an error.
#[track_caller]
fn must_refuse(server: &Running, story: &str) {
    let over = || server.output_ended() || server.stdout().contains("listening");
    let _ = try_eventually(SOON, || over().then_some(()));
    let is_refused = server.stderr().contains("cannot use descriptor 3")
        && server.wait(SOON).code() == Some(1);
    assert!(
        is_refused,
        "`inherited` should return an error. {story}\n{}",
        server.describe()
    );
}

#[test]
fn the_variables_are_removed() {
    for whose in ["own", "other"] {
        let (server, _) = service("tcp", "1", whose);
        must_start(&server, 1, "LISTEN_FDS is 1.");
        let environment = fs::read(format!("/proc/{}/environ", helper(&server)));
        let environment = environment.expect("the helper runs");
        let variables: Vec<String> = environment
            .split(|byte| *byte == 0)
            .map(|it| String::from_utf8_lossy(it).into_owned())
            .filter(|it| it.starts_with("LISTEN_"))
            .collect();
        assert!(
            variables.is_empty(),
            "the server was started with LISTEN_FDS, LISTEN_FDNAMES, and LISTEN_PID, which was its \
             {whose} process id (other: not its own). Then it started a program that has nothing \
             to do with them, and that still has: {variables:?}"
        );
    }
}

#[test]
fn a_grandchild_does_not_inherit_the_listener() {
    let (server, _) = service("tcp", "1", "own");
    must_start(&server, 1, "LISTEN_FDS is 1, and LISTEN_PID is its process id.");
    let story = "The server has inherited its listener.";
    helper_must_not_have_the_listener(&server, story);
}

/// The next version must have the listener once.
#[track_caller]
fn must_have_it_once(server: &Running) {
    // The last client may not be closed yet.
    let numbers = || {
        let listeners = listeners_of(server.pid()).into_iter();
        listeners.map(|(number, _)| number).collect::<Vec<i32>>()
    };
    let _ = try_eventually(SOON, || (numbers() == [3]).then_some(()));
    assert_eq!(
        numbers(),
        [3],
        "after the upgrade the server should have its listener as descriptor 3, and under no other \
         number. On the left are its descriptors. Which of them have you made close-on-exec?"
    );
}

#[test]
fn the_next_version_inherits_a_listener_that_is_descriptor_3() {
    let server = server(&[]);
    let addr = server.addr();
    let hint = "The listener was descriptor 3 before, and close-on-exec. What does dup2(2) do if \
                both numbers are the same? And for which process is LISTEN_PID, if exec keeps the \
                process id?";
    for start in 2..4 {
        upgrade(&server, start, hint);
        ask(&server, addr, start, hint);
        must_have_it_once(&server);
    }
}

#[test]
fn the_next_version_inherits_a_listener_that_is_another_descriptor() {
    let dir = log_folder();
    let server = server(&["--log", &log_in(&dir)]);
    let addr = server.addr();
    let hint = "Descriptor 3 was a log before, and the listener was descriptor 4. Under which \
                number does the next version look for the listener?";
    upgrade(&server, 2, hint);
    ask(&server, addr, 2, hint);
    must_have_it_once(&server);
    let story = "The listener came through exec as descriptor 3.";
    helper_must_not_have_the_listener(&server, story);
}

/// A folder for a log. Your program may run as another user, who must be able to write it.
fn log_folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = temp_dir();
    let log = dir.write("log", "");
    for path in [dir.path(), &log] {
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(path, open).expect("chmod");
    }
    dir
}

fn log_in(dir: &TempDir) -> String {
    dir.path().join("log").to_str().expect("UTF-8").to_owned()
}

#[test]
fn upgrades_under_load_lose_nothing() {
    let dir = log_folder();
    let server = server(&["--log", &log_in(&dir)]);
    let addr = server.addr();
    let load = Load { addr, clients: 3, kind: Kind::HttpClose }.start();
    for start in 2..7 {
        load.wait_for_more(10, SOON);
        upgrade(&server, start, "Three clients send requests meanwhile.");
    }
    load.wait_for_more(10, SOON);
    let report = load.stop();
    assert!(
        report.lost_count == 0 && report.refused == 0 && report.by_pid.len() == 1,
        "five upgrades should lose no request. Clients that connect meanwhile wait in the backlog, \
         as long as the listener is open. Is there a moment when no descriptor is open for \
         it?\n{report}"
    );
}

#[test]
fn if_exec_fails_a_listener_that_is_descriptor_3_is_as_before() {
    must_survive("the listener", &[]);
}

#[test]
fn if_exec_fails_another_descriptor_3_is_as_before() {
    must_survive("a log", &["--log"]);
}

/// The next version cannot be executed, and later it can.
#[track_caller]
fn must_survive(third: &str, log: &[&str]) {
    let dir = log_folder();
    let (next, log_file) = (dir.path().join("next"), log_in(&dir));
    let mut args = vec!["--next", next.to_str().expect("UTF-8")];
    log.iter().for_each(|flag| args.extend([*flag, &log_file]));
    let server = server(&args);
    let story = format!(
        "There was no next version to execute, so `exec_with` returned. Before, descriptor 3 was \
         {third}."
    );
    let addr = server.addr();
    let before = fds(server.pid());
    server.signal(Signal::SIGUSR2);
    let failed = || server.stdout().contains("cannot execute");
    let over = || failed() || server.output_ended();
    let _ = try_eventually(SOON, || over().then_some(()));
    assert!(
        failed() && server.process().alive(),
        "{story} The server should say so and serve on.\n{}",
        server.describe()
    );
    let after = fds(server.pid());
    assert!(
        after == before,
        "{story} All descriptors should be as before. The server had {}, and now it has {}. What \
         does dup2(2) do to a number that is in use, and how can you undo it?",
        fds_in_words(&before),
        fds_in_words(&after)
    );
    ask(&server, addr, 1, &story);
    helper_must_not_have_the_listener(&server, &story);
    // Now there is one, and it gets the listener as if nothing had failed before.
    let program = fs::read_link(format!("/proc/{}/exe", server.pid()));
    symlink(program.expect("its program"), &next).expect("a link");
    upgrade(&server, 2, &story);
    ask(&server, addr, 2, &story);
    must_have_it_once(&server);
}

#[test]
fn the_client_of_a_server_that_exits_is_refused() {
    let (server, addr) = service("tcp", "1", "own");
    must_start(&server, 1, "LISTEN_FDS is 1, and LISTEN_PID is its process id.");
    upgrade(&server, 2, "It was inherited, so descriptor 3 is the listener.");
    helper(&server);
    server.signal(Signal::SIGTERM);
    server.wait(SOON);
    assert!(
        TcpStream::connect(addr).is_err(),
        "the server has exited, and a client can still connect: another process has the listener \
         open. Which one, and why?"
    );
}
