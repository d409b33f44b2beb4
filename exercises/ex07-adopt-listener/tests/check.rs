//! What your program has to do. `cargo test -p ex07-adopt-listener`
//!
//! The tests are the parent: they listen, and send the listeners to your worker.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ch02_balance::{FdChannel, Received, poll_tokens};
use nix::poll::{PollFd, PollFlags};
use serde_json::{Value, json};
use testkit::http::Client;
use testkit::{
    Program, Running, Signal, assert_all_gone, exercise, try_eventually,
};

/// Far more time than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

const HAS_CLOSED: &str = "has closed its channel. Which part of your code owns the channel, and \
                          does your function return too early?";

#[test]
fn it_responds_on_the_listener_that_it_receives() {
    let (listener, addr) = listen();
    let mut worker = Worker::start();
    worker.adopt("front", &listener);
    for _ in 0..3 {
        worker.must_respond(
            addr,
            "front",
            "It was sent one listener, as \"front\".",
        );
    }
}

#[test]
fn it_serves_several_listeners_at_the_same_time() {
    let names = ["front", "admin", "metrics"];
    let listeners = names.map(|_| listen());
    let mut worker = Worker::start();
    for (name, (listener, _)) in names.iter().zip(&listeners) {
        worker.adopt(name, listener);
    }
    for _ in 0..2 {
        for (name, (_, addr)) in names.iter().zip(&listeners) {
            worker.must_respond(
                *addr,
                name,
                "It was sent three listeners, one after another: \"front\", \"admin\" and \
                 \"metrics\". Does it still read its channel while it serves? Does it ask \
                 poll(2) about all of its listeners?",
            );
        }
    }
}

#[test]
fn a_name_that_is_served_already_gets_the_new_listener() {
    let (old, old_addr) = listen();
    let (new, new_addr) = listen();
    let (admin, admin_addr) = listen();
    let mut worker = Worker::start();
    worker.adopt("front", &old);
    worker.adopt("admin", &admin);
    // From here on, only the worker has this one.
    drop(old);
    let story = "It was sent two listeners, as \"front\" and \"admin\".";
    worker.must_respond(old_addr, "front", story);
    worker.adopt("front", &new);
    let story = "It was sent the listeners \"front\" and \"admin\", and then another one as \
                 \"front\".";
    worker.must_respond(new_addr, "front", story);
    worker.must_respond(admin_addr, "admin", story);
    assert!(
        is_closed(old_addr),
        "{story} The old \"front\" should be closed then, but {LIMIT:?} later it still accepts \
         connections at {old_addr}. What becomes of the old one when the new one arrives?"
    );
}

#[test]
fn a_stopped_worker_leaves_the_connections_to_the_other() {
    let (listener, addr) = listen();
    let mut workers = [Worker::start(), Worker::start()];
    workers.iter_mut().for_each(|worker| worker.adopt("front", &listener));
    for (stopped, other) in [(0, 1), (1, 0)] {
        workers[stopped].stop();
        for _ in 0..3 {
            workers[other].must_respond(
                addr,
                "front",
                "Two workers were sent the same listener, and the other one is stopped.",
            );
        }
        workers[stopped].go_on();
    }
}

#[test]
fn a_worker_goes_on_if_another_process_has_accepted_the_connection() {
    let [(one, addr_one), (two, addr_two), (own, own_addr)] =
        [listen(), listen(), listen()];
    let mut worker = Worker::start_slow();
    worker.adopt("one", &one);
    worker.adopt("two", &two);
    worker.adopt("own", &own);
    worker.stop();
    let clients = [addr_one, addr_two].map(|addr| {
        let mut client = Client::connect(addr).expect("we listen");
        client.send_raw(REQUEST).expect("it is connected");
        client
    });
    // poll(2) reports both clients. When the first has its response, the worker is
    // still in `respond`, and we accept the connection of the other.
    worker.go_on();
    let [at_one, at_two] = clients.each_ref().map(Client::stream);
    let first = ready(LIMIT, vec![(&two, at_one.as_fd()), (&one, at_two.as_fd())]);
    let Some(other) = first.first() else {
        worker.panic_because(
            "the listeners \"one\" and \"two\"",
            &format!(
                "a client waits at each, but in {LIMIT:?} none got a response."
            ),
        );
    };
    if !ready(Duration::ZERO, vec![((), other.as_fd())]).is_empty() {
        let _ = other.accept();
    }
    let story = "It was sent the listeners \"one\", \"two\" and \"own\". A client connected to \
                 \"one\" and another one to \"two\", so poll(2) has reported both. While your \
                 worker responded to the first of them, another process accepted the connection \
                 of the other. What does accept(2) do then, and what does your code do with the \
                 error EAGAIN?";
    worker.must_respond(own_addr, "own", story);
}

#[test]
fn a_worker_goes_on_if_what_poll_has_found_is_gone() {
    let (old, old_addr) = listen();
    let (new, new_addr) = listen();
    let (admin, admin_addr) = listen();
    let mut worker = Worker::start();
    worker.adopt("front", &old);
    worker.adopt("admin", &admin);
    worker.stop();
    // When it goes on, poll(2) reports two things at once: a client of the old
    // listener, and a message with the new one.
    let _client = TcpStream::connect(old_addr).expect("we listen");
    worker.send("net.Server", json!({"serve": "front"}), new.into());
    worker.go_on();
    worker.must_acknowledge("a second listener as \"front\"");
    let story = "It was sent the listeners \"front\" and \"admin\". Then two things happened at \
                 once: a client connected to \"front\", and another listener arrived as \
                 \"front\". poll(2) has reported a client, but at the new listener no client \
                 waits. What does accept(2) do then, and what does your code do with the error \
                 EAGAIN?";
    worker.must_respond(admin_addr, "admin", story);
    worker.must_respond(new_addr, "front", story);
}

#[test]
fn it_exits_when_the_parent_closes_the_channel() {
    let (listener, addr) = listen();
    let mut worker = Worker::start();
    worker.adopt("front", &listener);
    drop(listener);
    worker.must_respond(addr, "front", "It was sent one listener, as \"front\".");
    // A client that has sent half of its request, and does not close.
    // If the worker has exited, what follows says so.
    let slow = Client::connect(addr)
        .and_then(|mut slow| slow.send_raw(b"GET / HTT").map(|()| slow));
    worker.must_exit("It was serving a listener, and a client was connected.");
    drop(slow);
    assert_all_gone(&[worker.program.process()], Some(addr.port()), LIMIT);
}

#[test]
fn it_exits_even_if_no_listener_has_arrived() {
    let mut worker = Worker::start();
    worker.tell(json!("hello"));
    worker.must_exit("It has received a message, and no listener.");
}

#[test]
fn everything_else_is_dropped() {
    let (listener, addr) = listen();
    let (other, other_addr) = listen();
    let (nameless, nameless_addr) = listen();
    let mut client = TcpStream::connect(other_addr).expect("we listen");
    let (connection, _) = other.accept().expect("a client");
    let mut worker = Worker::start();
    worker.adopt("front", &listener);
    worker.pass("net.Socket", json!({"serve": "other"}), connection.into());
    worker.pass("net.Server", json!("server"), other.into());
    worker.pass("net.Server", json!({"serve": 7}), nameless.into());
    worker.tell(json!({"serve": "front"}));
    let story = "It was sent a listener with {\"serve\":\"front\"}. After that, it was sent what \
                 it should drop: {\"serve\":\"other\"} with a handle of the kind net.Socket, a \
                 listener with the message \"server\", one with {\"serve\":7}, and \
                 {\"serve\":\"front\"} without a handle. Do you compare the kind? Do you look at \
                 the whole message?";
    worker.must_respond(addr, "front", story);

    client.set_read_timeout(Some(LIMIT)).expect("a time-out");
    let end = client.read(&mut [0]);
    let is_over = end.is_ok_and(|read| read == 0);
    assert!(
        is_over,
        "{story} But {LIMIT:?} later the connection that arrived as net.Socket is still open"
    );
    for (addr, message) in
        [(other_addr, "\"server\""), (nameless_addr, "{\"serve\":7}")]
    {
        assert!(
            is_closed(addr),
            "{story} But {LIMIT:?} later the listener that arrived with {message} still accepts \
             connections"
        );
    }
}

#[test]
fn it_uses_no_cpu_time_while_nothing_happens() {
    let (listener, addr) = listen();
    let mut worker = Worker::start();
    worker.adopt("front", &listener);
    worker.must_respond(addr, "front", "It was sent one listener, as \"front\".");
    let pid = worker.program.pid();
    // It may still be about to go to sleep.
    let slept = try_eventually(LIMIT, || (!is_running(pid)).then_some(()));
    let looks = (0..30).filter(|_| {
        sleep(Duration::from_millis(10));
        is_running(pid)
    });
    let running = looks.count();
    assert!(
        slept.is_some() && running < 20,
        "your worker serves a listener, and no client connects: it should sleep. In {running} of \
         30 looks it was running (state R in /proc/{pid}/stat). `receive` on a channel never \
         blocks: where does your loop wait?\n{}",
        worker.program.describe()
    );
}

/// A worker, and our end of its channel.
struct Worker {
    program: Running,
    channel: FdChannel,
}

impl Worker {
    #[track_caller]
    fn start() -> Worker {
        Worker::new(exercise!().arg("worker"))
    }

    /// A worker whose `respond` takes half a second.
    #[track_caller]
    fn start_slow() -> Worker {
        Worker::new(exercise!().arg("worker").env("RESPOND_PAUSE_MS", "500"))
    }

    #[track_caller]
    fn new(program: Program) -> Worker {
        let (program, channel) = program.channel();
        let channel = FdChannel::new(channel, 1).expect("a channel");
        Worker { program: program.start(), channel }
    }

    /// Sends it a copy of the listener, and waits for the acknowledgement.
    #[track_caller]
    fn adopt(&mut self, name: &str, listener: &TcpListener) {
        let copy = listener.try_clone().expect("a copy").into();
        self.pass("net.Server", json!({"serve": name}), copy);
    }

    #[track_caller]
    fn pass(&mut self, kind: &str, message: Value, fd: OwnedFd) {
        let what = format!("{message} with a handle of the kind {kind}");
        self.send(kind, message, fd);
        self.must_acknowledge(&what);
    }

    #[track_caller]
    fn send(&mut self, kind: &str, message: Value, fd: OwnedFd) {
        let what = message.to_string();
        if self.channel.send_handle(kind, message, fd).is_err() {
            self.panic_because(&what, HAS_CLOSED);
        }
    }

    /// Sends it a message without a handle.
    #[track_caller]
    fn tell(&mut self, message: Value) {
        if self.channel.send(&message).is_err() {
            self.panic_because(&message.to_string(), HAS_CLOSED);
        }
    }

    #[track_caller]
    fn must_acknowledge(&mut self, what: &str) {
        let answered = try_eventually(LIMIT, || {
            let mut received = self.channel.receive().into_iter();
            received.find(|it| matches!(it, Received::Acked | Received::Closed(_)))
        });
        match answered {
            Some(Received::Acked) => {}
            Some(_) => self.panic_because(what, HAS_CLOSED),
            None => self.panic_because(
                what,
                &format!(
                    "has not received that in {LIMIT:?}. Does your loop call `receive` whenever \
                     poll(2) reports the channel?"
                ),
            ),
        }
    }

    #[track_caller]
    fn panic_because(&self, what: &str, why: &str) -> ! {
        self.wait_for_output();
        panic!(
            "your worker was sent {what}, and {why}\n{}",
            self.program.describe()
        );
    }

    /// Asks at this address: this worker responds, with this name.
    #[track_caller]
    fn must_respond(&self, addr: SocketAddr, name: &str, story: &str) {
        let pid = self.program.pid();
        match ask(addr) {
            Ok(body) => assert_eq!(
                body,
                format!("{name}, process {pid}\n"),
                "{story} A client of \"{name}\" got the response on the left from your worker \
                 (process {pid})"
            ),
            Err(why) => {
                self.wait_for_output();
                panic!(
                    "{story}\nA client of \"{name}\" got no response from your worker (process \
                     {pid}): {why}\n{}",
                    self.program.describe()
                );
            }
        }
    }

    /// Stops the process until [`go_on`](Worker::go_on).
    #[track_caller]
    fn stop(&self) {
        self.program.signal(Signal::SIGSTOP);
        let pid = self.program.pid();
        let stopped = try_eventually(LIMIT, || {
            states(pid).chars().all(|it| it == 'T').then_some(())
        });
        assert!(stopped.is_some(), "SIGSTOP has not stopped {pid} in {LIMIT:?}");
    }

    fn go_on(&self) {
        self.program.signal(Signal::SIGCONT);
    }

    /// Closes the channel: then the worker has to exit.
    #[track_caller]
    fn must_exit(&mut self, story: &str) {
        // So that it has read everything before.
        self.channel.pump();
        let (ours, _) = std::os::unix::net::UnixStream::pair().expect("a pair");
        // The old channel is dropped, and so closed.
        self.channel = FdChannel::new(ours, 1).expect("a channel");
        let status = try_eventually(LIMIT, || self.program.try_wait());
        let Some(status) = status else {
            panic!(
                "the parent has closed the channel, and {LIMIT:?} later your worker (process \
                 {}) still runs. {story} It would keep the port for ever. What does your loop \
                 do when `receive` returns Closed?",
                self.program.pid()
            );
        };
        assert!(
            status.success(),
            "the parent has closed the channel. {story} That is no error, so `serve` should \
             return Ok(()). Your worker ended with {status}\n{}",
            self.program.describe()
        );
    }

    /// If it is about to exit, its last words explain what the test has seen.
    fn wait_for_output(&self) {
        let _ = try_eventually(Duration::from_secs(1), || {
            self.program.output_ended().then_some(())
        });
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("its address");
    (listener, addr)
}

/// The tokens of the descriptors that can be read within this time.
fn ready<T>(within: Duration, fds: Vec<(T, BorrowedFd)>) -> Vec<T> {
    let polled = fds
        .into_iter()
        .map(|(token, fd)| (token, PollFd::new(fd, PollFlags::POLLIN)));
    poll_tokens(polled.collect(), Some(Instant::now() + within)).expect("poll(2)")
}

/// The body of the response to one request, on a connection of its own.
fn ask(addr: SocketAddr) -> Result<String, String> {
    let ask = || {
        let mut client = Client::connect(addr)?;
        client.stream().set_read_timeout(Some(LIMIT))?;
        client.send_raw(REQUEST)?;
        client.read_response()
    };
    match ask() {
        Ok(response) => Ok(response.body),
        Err(error)
            if [ErrorKind::WouldBlock, ErrorKind::TimedOut]
                .contains(&error.kind()) =>
        {
            Err(format!("it has waited {LIMIT:?}."))
        }
        Err(error) => Err(format!("{error}.")),
    }
}

/// Whether a listener that only the worker has is closed in time.
///
/// If the worker has it open and does not accept, the backlog is full after a while, and
/// connect(2) blocks. That is no refusal.
fn is_closed(addr: SocketAddr) -> bool {
    let a_moment = Duration::from_millis(100);
    let is_refused = || {
        let error = TcpStream::connect_timeout(&addr, a_moment).err()?;
        (error.kind() == ErrorKind::ConnectionRefused).then_some(())
    };
    try_eventually(LIMIT, is_refused).is_some()
}

/// Whether a thread of the process runs, or would if a CPU was free.
fn is_running(pid: i32) -> bool {
    states(pid).contains('R')
}

/// The state of each thread of a process, as a letter; proc_pid_stat(5).
fn states(pid: i32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    let stats = tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats
        .filter_map(|stat| stat.rsplit(')').next()?.trim().chars().next())
        .collect()
}
