//! What the tests of this chapter share: a server, its workers as its log tells of
//! them, a load.

#![allow(dead_code)] // Each test program uses its part of this.

pub mod dice;
pub mod policy;
pub mod sh;
pub mod worker;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::time::Duration;

use testkit::http::{Client, Response};
use testkit::load::{Kind, Load};
use testkit::{Process, Program, Running, Signal, eventually, fds};

/// For what should happen soon. It is long because the machine may be busy.
pub const SOON: Duration = Duration::from_secs(15);

/// What every promise in seconds gets on top: the machine may be busy.
pub const BUSY: Duration = Duration::from_millis(1_500);

/// A whole request.
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The first bytes of [`GET`], and the others.
pub const HALF: [&[u8]; 2] = [b"GET / HTTP/1.1\r\nHo", b"st: localhost\r\n\r\n"];

/// Descriptors of a worker without connections: 0, 1, 2, the channel, the listener
/// and the two ends of its signal pipe.
pub const WORKER_FDS: usize = 7;

/// The path of the chapter's program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ch05-restart");

/// The chapter's program.
pub fn program() -> Program {
    Program::new(PROGRAM)
}

/// Starts a server on a free port, and returns once `workers` of them are ready.
#[track_caller]
pub fn server(workers: usize, crash_after: u64) -> Running {
    let numbers = [workers.to_string(), crash_after.to_string()];
    let arguments =
        ["--port", "0", "--workers", &numbers[0], "--crash-after", &numbers[1]];
    let server = program().args(arguments).start();
    wait_until_full(&server, workers);
    server
}

/// Starts a server with other workers than the chapter's own.
#[track_caller]
pub fn server_of(workers: usize, exec: &[&str]) -> Running {
    let number = workers.to_string();
    let arguments = ["--port", "0", "--workers", &number, "--exec"];
    program().args(arguments).args(exec).start()
}

/// Blocks until `workers` are ready and do not drain.
#[track_caller]
pub fn wait_until_full(server: &Running, workers: usize) {
    eventually(&format!("{workers} workers that serve"), SOON, || {
        serving(server).len() == workers
    });
}

/// The workers that are ready, and neither drain nor have exited: as the master's
/// log says.
pub fn serving(server: &Running) -> BTreeSet<i32> {
    replay(server, "is").0
}

/// The most workers that ran at the same time and did not drain.
pub fn most_at_once(server: &Running) -> usize {
    replay(server, "started").1
}

/// Goes through the master's log: which workers serve in the end, and how many did
/// at most. A worker serves from its line with the word `begins` until its line with
/// `drains`, or until it exits.
fn replay(server: &Running, begins: &str) -> (BTreeSet<i32>, usize) {
    let (mut serving, mut most) = (BTreeSet::new(), 0);
    let log = server.stdout();
    for line in log.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let mut words = line.split_whitespace();
        let (Some("worker"), Some(pid)) = (words.next(), words.next()) else {
            continue;
        };
        let Ok(pid) = pid.parse() else { continue };
        match words.next() {
            Some(word) if word == begins => drop(serving.insert(pid)),
            Some("drains:" | "exited" | "was") => drop(serving.remove(&pid)),
            _ => {}
        }
        most = most.max(serving.len());
    }
    (serving, most)
}

/// The worker of a server that has one.
#[track_caller]
pub fn only_worker(server: &Running) -> Process {
    let all = serving(server);
    assert_eq!(all.len(), 1, "one worker serves\n{}", server.stdout());
    process(*all.first().expect("one"))
}

/// The process with this number, which must exist.
#[track_caller]
pub fn process(pid: i32) -> Process {
    Process::of(pid).unwrap_or_else(|| panic!("process {pid} does not exist"))
}

/// Signals a process that must be alive.
#[track_caller]
pub fn signal(process: Process, signal: Signal) {
    let sent = process.signal(signal);
    assert!(sent, "process {} cannot be sent {signal}", process.pid);
}

/// Signals all workers, which must be alive.
#[track_caller]
pub fn signal_all(server: &Running, each: Signal) {
    server.children().into_iter().for_each(|worker| signal(worker, each));
}

/// Connects, sends `bytes`, and returns once the only worker has accepted the
/// connection.
#[track_caller]
pub fn accepted(server: &Running, bytes: &[u8]) -> Client {
    let worker = only_worker(server).pid;
    let before = fds(worker).len();
    let client = connected(server, bytes);
    eventually("the worker accepts", SOON, || fds(worker).len() > before);
    client
}

/// Connects and sends `bytes`.
#[track_caller]
pub fn connected(server: &Running, bytes: &[u8]) -> Client {
    let mut client = Client::connect(server.addr()).expect("to connect");
    client.send_raw(bytes).expect("to send");
    client
}

/// Reads a response, which must be the worker's own, and the worker's process id in
/// it.
#[track_caller]
pub fn response(client: &mut Client) -> (Response, i32) {
    let response = client.read_response();
    let response = response.unwrap_or_else(|error| panic!("no response: {error}"));
    assert_eq!(response.status, 200, "{response:?}");
    let pid = testkit::pid_in(&response.body);
    let pid = pid.unwrap_or_else(|| panic!("no pid in {response:?}"));
    (response, pid)
}

/// A load with a connection for each request.
pub fn load(server: &Running, clients: usize) -> Load {
    Load { addr: server.addr(), clients, kind: Kind::HttpClose }
}

/// The memory that a process has in use, in KiB.
pub fn memory(pid: i32) -> u64 {
    let value = status(pid, "VmRSS:").unwrap_or_default();
    value.split_whitespace().next().and_then(|it| it.parse().ok()).unwrap_or(0)
}

/// A line of `/proc/PID/status` (proc_pid_status(5)), without its name; `None` if
/// the process does not exist.
pub fn status(pid: i32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let value = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.trim().to_owned())
}

/// Whether there is such a program. If not, says so: the test has to return.
pub fn installed(name: &str) -> bool {
    let found = Program::new("sh")
        .args(["-c", "command -v \"$0\"", name])
        .output()
        .status
        .success();
    if !found {
        skipped(&format!("no {name} found in PATH"));
    }
    found
}

/// Tells why a test returns early. Not `eprintln!`: the harness keeps that back
/// when a test passes.
pub fn skipped(why: &str) {
    let _ = writeln!(io::stderr(), "skipped: {why}");
}

/// Whether this process may trace others: ptrace(2) needs it.
pub fn can_trace() -> bool {
    let output = Program::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !output.status.success() {
        skipped(&format!("strace cannot trace: {}", output.stderr.trim()));
    }
    output.status.success()
}
