//! What the process tests of this chapter share: a server with its configuration
//! file, its processes, its state, and a load.

#![allow(dead_code)] // Each test program uses its part of this.

pub mod dice;

use std::collections::BTreeSet;
use std::io::{self, Write as _};
use std::mem;
use std::ops::Deref;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, thread};

use nix::libc;
use serde_json::Value;
use testkit::http::{Client, Response};
use testkit::load::{Background, Kind, Load, Report};
use testkit::{
    Process, Program, Running, Signal, TempDir, fds, temp_dir, try_eventually,
};

/// For what should happen soon. It is long because the machine may be busy.
pub const SOON: Duration = Duration::from_secs(15);

/// For the end of a server whose clients are prompt, and of one that was killed.
pub const PROMPT: Duration = Duration::from_millis(2_500);

/// The first bytes of a request, and the others.
pub const HALF: [&[u8]; 2] = [b"GET / HTTP/1.1\r\nHo", b"st: localhost\r\n\r\n"];

/// The path of the chapter's program.
pub const PROGRAM: &str = env!("CARGO_BIN_EXE_ch06-reload");

/// The chapter's program.
pub fn program() -> Program {
    Program::new(PROGRAM)
}

/// A server with a configuration file in a folder of its own.
pub struct Server {
    running: Running,
    dir: TempDir,
}

impl Deref for Server {
    type Target = Running;

    fn deref(&self) -> &Running {
        &self.running
    }
}

/// How a server is started.
pub struct Setup {
    pub dir: TempDir,
    program: Program,
    arguments: Vec<String>,
}

/// A server with this configuration and with `--demo`, which is not started yet.
pub fn setup(config: &str) -> Setup {
    let dir = temp_dir();
    dir.write("site.toml", config);
    let arguments = vec!["--demo".to_owned()];
    Setup { dir, program: program(), arguments }
}

impl Setup {
    /// Adds arguments.
    pub fn args(mut self, arguments: &[&str]) -> Setup {
        self.arguments.extend(arguments.iter().map(|&word| word.to_owned()));
        self
    }

    /// Sets an environment variable.
    pub fn env(self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Setup {
        Setup { program: self.program.env(name, value), ..self }
    }

    /// The server's program is `server` in its folder: a symbolic link to the chapter's
    /// program, which the test may replace.
    #[track_caller]
    pub fn own_program(self) -> Setup {
        let path = self.dir.path().join("server");
        std::os::unix::fs::symlink(PROGRAM, &path).expect("to link");
        Setup { program: Program::new(path), ..self }
    }

    /// Starts it, and does not wait.
    #[track_caller]
    pub fn start(self) -> Server {
        let config = self.dir.path().join("site.toml");
        let program = self.program.args(["--port", "0", "--config"]).arg(config);
        Server { running: program.args(self.arguments).start(), dir: self.dir }
    }

    /// Starts it, and returns once all its workers are ready.
    #[track_caller]
    pub fn ready(self) -> Server {
        let server = self.start();
        server.settle(|_| true);
        server
    }
}

/// Starts a server with this configuration, and returns once it is ready.
#[track_caller]
pub fn server(config: &str) -> Server {
    setup(config).ready()
}

/// A server of `workers`, whose generation the clients of a load can tell.
#[track_caller]
pub fn server_of(workers: usize) -> Server {
    server(&numbered(workers, 1))
}

/// A configuration whose greeting has a number. testkit's load reads that where other
/// chapters have a process id, so it counts the responses of each configuration.
pub fn numbered(workers: usize, number: usize) -> String {
    format!("workers = {workers}\ngreeting = \"pid is {number}\"\n")
}

/// Runs a shell script in `folder`. A program file that is written must not be open in
/// this process: a child of another test, between fork and exec, would have it open,
/// too, and to execute it would fail (`ETXTBSY`).
#[track_caller]
pub fn shell(folder: &Path, script: &str) {
    let output = Program::new("sh").args(["-ec", script]).cwd(folder).output();
    assert!(output.status.success(), "{output:?}");
}

impl Server {
    /// The path of a file in the server's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Replaces the configuration file.
    #[track_caller]
    pub fn configure(&self, config: &str) {
        self.dir.write("new.toml", config);
        fs::rename(self.path("new.toml"), self.path("site.toml")).expect("to move");
    }

    /// The process that is the master now.
    #[track_caller]
    pub fn master(&self) -> Process {
        let log = self.stdout();
        let taken_over = |line: &str| {
            let (pid, rest) =
                line.strip_prefix("upgrade: process ")?.split_once(' ')?;
            rest.starts_with("has taken over").then(|| pid.to_owned())
        };
        let newest = log.lines().filter_map(taken_over).next_back();
        let pid = newest.map_or(self.pid(), |pid| pid.parse().expect("a number"));
        process(pid)
    }

    /// Sends a signal to the process that is the master now.
    #[track_caller]
    pub fn send(&self, signal: Signal) {
        let master = self.master();
        assert!(master.signal(signal), "the master runs\n{}", self.describe());
    }

    /// The workers that run, of whatever master: those that the program has started as
    /// `worker`.
    pub fn workers(&self) -> Vec<Process> {
        let mut all = self.processes();
        all.retain(|it| it.command_line().split(' ').nth(1) == Some("worker"));
        all
    }

    /// The masters that run: one, and two during an upgrade.
    pub fn masters(&self) -> Vec<Process> {
        let mut all = self.processes();
        all.retain(|it| it.command_line().split(' ').nth(1) == Some("--port"));
        all
    }

    /// Asks the master for its state (SIGUSR1).
    #[track_caller]
    pub fn state(&self) -> Value {
        let before = self.states().len();
        self.send(Signal::SIGUSR1);
        let state = || self.states().split_off(before).pop();
        try_eventually(SOON, state)
            .unwrap_or_else(|| panic!("SIGUSR1 has no effect\n{}", self.describe()))
    }

    fn states(&self) -> Vec<Value> {
        let log = self.stdout();
        let lines = log.split_inclusive('\n').filter(|it| it.ends_with("}\n"));
        lines.filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Blocks until as many workers are ready as wanted, of one generation, no other
    /// worker is left, and the state is `as_expected`. Returns the state.
    #[track_caller]
    pub fn settle(&self, as_expected: impl Fn(&Value) -> bool) -> Value {
        self.addr();
        let settled = || {
            let state = self.state();
            let workers = state["workers"].as_array().expect("an array");
            let serves = |it: &Value| {
                it["state"] == "ready" && it["generation"] == state["generation"]
            };
            let full =
                state["wanted"] == workers.len() && workers.iter().all(serves);
            let settled = full && as_expected(&state);
            thread::sleep(Duration::from_millis(20));
            settled.then_some(state)
        };
        try_eventually(SOON, settled)
            .unwrap_or_else(|| panic!("it does not settle\n{}", self.describe()))
    }

    /// Blocks until as many workers are ready as wanted; others may drain. Returns the
    /// state.
    #[track_caller]
    pub fn wait_until_full(&self) -> Value {
        let full = || {
            let state = self.state();
            let workers = state["workers"].as_array().expect("an array");
            let ready = workers.iter().filter(|it| it["state"] == "ready").count();
            (state["wanted"] == ready).then_some(state)
        };
        try_eventually(SOON, full)
            .unwrap_or_else(|| panic!("it does not settle\n{}", self.describe()))
    }

    /// Reloads, and returns once all workers are of the new generation.
    #[track_caller]
    pub fn reload(&self) {
        let generation = self.state()["generation"].as_u64().expect("a number");
        self.send(Signal::SIGHUP);
        self.settle(|state| state["generation"] == generation + 1);
    }

    /// Upgrades, and returns once the new master is the only one.
    #[track_caller]
    pub fn upgrade(&self) {
        let old = self.master();
        self.send(Signal::SIGUSR2);
        let done = || (self.master() != old && !old.alive()).then_some(());
        let done = try_eventually(SOON, done);
        assert!(done.is_some(), "no new master takes over\n{}", self.describe());
        self.settle(|_| true);
    }

    /// Requests `path` on a new connection.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        let response = self.connect().get(path);
        response.unwrap_or_else(|error| {
            panic!("no response to {path}: {error}\n{}", self.describe())
        })
    }

    /// A client that has sent nothing yet.
    #[track_caller]
    pub fn connect(&self) -> Client {
        Client::connect(self.addr()).expect("to connect")
    }

    /// A client that has sent `bytes`.
    #[track_caller]
    pub fn connected(&self, bytes: &[u8]) -> Client {
        let mut client = self.connect();
        client.send_raw(bytes).expect("to send");
        client
    }

    /// A load with a connection for each request.
    pub fn load(&self, clients: usize) -> Load {
        Load { addr: self.addr(), clients, kind: Kind::HttpClose }
    }
}

/// A whole request for a path.
pub fn request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

/// The process with this number, which must exist.
#[track_caller]
pub fn process(pid: i32) -> Process {
    Process::of(pid).unwrap_or_else(|| panic!("process {pid} does not exist"))
}

/// Blocks until a process is stopped, or is dead.
#[track_caller]
pub fn wait_until_stopped(process: Process) {
    testkit::eventually("it is stopped, or has exited", SOON, || {
        let state = status(process.pid, "State:");
        !process.alive() || state.is_some_and(|state| state == "T (stopped)")
    });
}

/// How many connections a worker of `master` holds.
pub fn held_connections(worker: i32, master: i32) -> usize {
    // The channel and the two ends of the signal pipe are sockets, too.
    own_sockets(worker, master).len().saturating_sub(3)
}

/// The descriptors of a worker that are sockets, without the listener: that is shared.
fn own_sockets(worker: i32, master: i32) -> Vec<i32> {
    let sockets = |pid| {
        let all = fds(pid).into_iter();
        all.filter(|(_, target)| target.starts_with("socket:"))
    };
    let shared: BTreeSet<String> = sockets(master).map(|it| it.1).collect();
    let own = sockets(worker).filter(|(_, target)| !shared.contains(target));
    own.map(|(number, _)| number).collect()
}

/// How many connections a stopped worker holds whose response it has not written yet: its
/// death costs them. If the system does not show their state, it is all connections.
pub fn unanswered_connections(worker: i32, master: i32) -> usize {
    let sockets = own_sockets(worker, master).into_iter();
    let open: Option<Vec<bool>> =
        sockets.map(|number| is_open_connection(worker, number)).collect();
    match open {
        Some(open) => open.into_iter().filter(|&is_open| is_open).count(),
        None => held_connections(worker, master),
    }
}

/// Whether this descriptor of another process is a connection that is open for writing
/// (tcp(7)). `None`: the system does not show it.
fn is_open_connection(pid: i32, number: i32) -> Option<bool> {
    const ESTABLISHED: u8 = 1;
    const CLOSE_WAIT: u8 = 8;
    // SAFETY: these system calls take numbers and return a descriptor or -1.
    let open = |call, first: i32, second: i32| unsafe {
        let fd = libc::syscall(call, first, second, 0) as i32;
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))
    };
    let process = open(libc::SYS_pidfd_open, pid, 0)?;
    let copy = open(libc::SYS_pidfd_getfd, process.as_raw_fd(), number)?;
    // SAFETY: all zeros is a valid value of this plain struct.
    let mut info: libc::tcp_info = unsafe { mem::zeroed() };
    let mut length = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes to `info`.
    let result = unsafe {
        libc::getsockopt(
            copy.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    // For a socket of another kind the call fails.
    Some(result == 0 && matches!(info.tcpi_state, ESTABLISHED | CLOSE_WAIT))
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
    let look = Program::new("sh").args(["-c", "command -v \"$0\"", name]);
    let found = look.output().status.success();
    if !found {
        // Not `eprintln!`: the harness keeps that back when a test passes.
        let _ = writeln!(io::stderr(), "skipped: no {name} found in PATH");
    }
    found
}

/// Signals a process that must be alive.
#[track_caller]
pub fn signal(process: Process, signal: Signal) {
    let sent = process.signal(signal);
    assert!(sent, "process {} cannot be sent {signal}", process.pid);
}

/// Blocks until the workers hold so many connections.
#[track_caller]
pub fn wait_for_accepted(server: &Server, count: usize) {
    testkit::eventually("the connections are accepted", SOON, || {
        let held = |it: &Process| held_connections(it.pid, server.pid());
        server.workers().iter().map(held).sum::<usize>() == count
    });
}

/// Ends a load, of which no request may be lost.
#[track_caller]
pub fn none_lost(load: Background) -> Report {
    // On a busy machine, the clients may not have run yet.
    load.wait_for_more(1, SOON);
    let report = load.stop();
    report.assert_none_lost();
    report
}
