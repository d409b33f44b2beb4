//! What your program has to do. `cargo test -p ex07-adopt-listener`
//!
//! The tests are the parent: they listen, and send the listener to your worker.

use std::collections::HashSet;
use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::Duration;

use ch02_balance::{FdChannel, Incoming};
use serde_json::{Map, json};
use testkit::http::{Client, Response};
use testkit::{Running, Signal, assert_all_gone, exercise, try_eventually};

/// How long something may take that takes no time.
const SOON: Duration = Duration::from_secs(5);

/// How long a worker may go on without its parent.
const END_LIMIT: Duration = Duration::from_secs(2);

#[test]
fn it_answers_on_the_listener_that_it_was_sent() {
    let (listener, addr) = listen();
    let mut worker = Worker::start();
    worker.adopt(&listener);
    for _ in 0..3 {
        let answer = worker.must_answer(addr);
        assert_eq!(
            (answer.status, &*answer.body),
            (200, &*format!("handled by child, pid is {}\n", worker.program.pid())),
            "the left is what your worker (pid {}) answers",
            worker.program.pid()
        );
    }
    assert!(
        worker.channel_is_open(),
        "your worker serves, but it has closed its channel: its parent takes it for dead. Who owns the \
         channel while tiny_http serves?"
    );
}

#[test]
fn two_workers_share_one_listener() {
    let (listener, addr) = listen();
    let mut workers = [Worker::start(), Worker::start()];
    workers.iter_mut().for_each(|worker| worker.adopt(&listener));
    let mut seen = HashSet::new();
    let both = try_eventually(SOON, || {
        let answer = workers[0].must_answer(addr);
        seen.insert(answer.body);
        (seen.len() == 2).then_some(())
    });
    assert!(
        both.is_some(),
        "two workers were sent the same listener, and after 5 s only one of them has answered: {seen:?}. \
         What the other one says:\n{}",
        workers.iter().map(|it| it.program.stderr()).collect::<String>()
    );
}

#[test]
fn a_listener_that_does_not_block_is_made_to() {
    let (listener, addr) = listen();
    listener.set_nonblocking(true).expect("fcntl");
    let mut worker = Worker::start();
    worker.adopt(&listener);
    for _ in 0..3 {
        if let Err(why) = ask(addr) {
            panic!(
                "the listener came with O_NONBLOCK, as from a Node parent, and your worker does not \
                 answer: {why}. accept(2) says EAGAIN on such a listener when nobody is waiting. What \
                 does tiny_http do then, and which call prevents it?\nIt says:\n{}",
                worker.program.stderr()
            );
        }
    }
}

#[test]
fn a_killed_worker_does_not_take_the_port_with_it() {
    let (listener, addr) = listen();
    let mut workers = [Worker::start(), Worker::start()];
    workers.iter_mut().for_each(|worker| worker.adopt(&listener));
    let [killed, survivor] = workers;
    // From here on, only the workers hold the listener.
    drop(listener);
    killed.must_answer(addr);
    killed.program.signal(Signal::SIGKILL);
    killed.program.wait(SOON);
    for _ in 0..5 {
        let answer = survivor.must_answer(addr);
        assert!(
            answer.body.contains(&survivor.program.pid().to_string()),
            "{} was killed, and {} should answer; but who says {:?}?",
            killed.program.pid(),
            survivor.program.pid(),
            answer.body
        );
    }
}

#[test]
fn it_ends_when_its_channel_does_and_leaves_the_port() {
    let (listener, addr) = listen();
    let mut worker = Worker::start();
    worker.adopt(&listener);
    drop(listener);
    // One that has been answered, and one that has said half of what it wants: neither closes.
    let mut idle = Client::connect(addr).expect("somebody listens");
    assert!(
        idle.get("/").is_ok(),
        "a client on a connection that it keeps is answered"
    );
    let mut slow = Client::connect(addr).expect("somebody listens");
    slow.send_raw(b"GET / HTT").expect("it is connected");
    // What comes over the channel meanwhile is none of its business.
    worker.channel.send(&json!("hello")).expect("the worker listens");
    worker.must_end("it was serving, with two clients connected");
    assert_all_gone(&[worker.program.process()], Some(addr.port()), END_LIMIT);
}

#[test]
fn it_ends_when_its_channel_does_before_a_listener_came() {
    let mut worker = Worker::start();
    worker.channel.send(&json!("hello")).expect("the worker listens");
    worker.must_end("it was waiting for its listener");
    let _ = try_eventually(SOON, || worker.program.output_ended().then_some(()));
    let said = worker.program.stdout();
    assert!(
        said.contains("sent no listener"),
        "receive_listener(…) has to return Ok(None) at the end of the channel. The worker says:\n{said}{}",
        worker.program.stderr()
    );
}

#[test]
fn whatever_else_comes_is_dropped() {
    let (listener, addr) = listen();
    let (other, other_addr) = listen();
    let mut client = TcpStream::connect(other_addr).expect("we listen");
    let (connection, _) = other.accept().expect("a client");
    let mut worker = Worker::start();
    worker.channel.send(&json!("server")).expect("the worker listens");
    worker.pass("net.Socket", "server", connection.into());
    worker.pass("net.Server", "not for you", other.into());
    worker.adopt(&listener);
    let hint = "A listener came, with \"server\", behind two descriptors that are to be dropped. Does the \
                worker go on after those?";
    let line = worker.program.wait_for_line_or("has a listener on", hint);
    assert!(
        line.ends_with(&addr.to_string()),
        "three descriptors were sent: a connection (net.Socket) with the message \"server\", a listener \
         (net.Server) with \"not for you\", and then the listener on {addr}, with \"server\". The worker \
         says:\n{line}\nDo you compare the message? And the type?"
    );
    worker.must_answer(addr);

    client.set_read_timeout(Some(END_LIMIT)).expect("a time-out");
    let end = client.read(&mut [0]);
    assert!(
        matches!(end, Ok(0)),
        "a connection came in an envelope of the type net.Socket. It is no listener, and your worker \
         should have dropped it; but it is still open ({end:?}). Who owns it?"
    );
    let closed = try_eventually(SOON, || TcpStream::connect(other_addr).err());
    assert!(
        closed.is_some(),
        "a listener came with the message \"not for you\". Your worker should have dropped it, but \
         somebody still listens on {other_addr}. Who owns it?"
    );
}

#[test]
fn it_uses_no_processor_time_while_nobody_asks() {
    let (listener, addr) = listen();
    let [waiting, mut serving] = [Worker::start(), Worker::start()];
    serving.adopt(&listener);
    serving.must_answer(addr);
    for (worker, does) in [(waiting, "waits for its listener"), (serving, "serves")]
    {
        let pid = worker.program.pid();
        // It may still be about to go to sleep.
        let slept = try_eventually(SOON, || (!is_running(pid)).then_some(()));
        let looks = (0..40).filter(|_| {
            sleep(Duration::from_millis(20));
            is_running(pid)
        });
        let running = looks.count();
        assert!(
            slept.is_some() && running < 20,
            "a worker that {does}, and has nothing to do, should sleep. In {running} of 40 looks it was \
             running (state R in /proc/{pid}/stat). recv() on a channel never blocks: what do you do when \
             it says WouldBlock?"
        );
    }
}

/// Whether one of its threads runs, or would if it had a processor; proc_pid_stat(5).
fn is_running(pid: i32) -> bool {
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let stats =
        tasks.filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats
        .into_iter()
        .any(|stat| stat.rsplit(')').next().is_some_and(|it| it.starts_with(" R")))
}

/// A worker, and our end of its channel.
struct Worker {
    program: Running,
    channel: FdChannel,
}

impl Worker {
    #[track_caller]
    fn start() -> Worker {
        let (program, channel) = exercise!().arg("worker").channel();
        Worker {
            program: program.start(),
            channel: FdChannel::new(channel).expect("a channel"),
        }
    }

    /// Sends it the listener, and waits until the channel has acknowledged it.
    #[track_caller]
    fn adopt(&mut self, listener: &TcpListener) {
        self.pass(
            "net.Server",
            "server",
            listener.try_clone().expect("a copy").into(),
        );
    }

    #[track_caller]
    fn pass(&mut self, kind: &str, message: &str, fd: OwnedFd) {
        self.channel
            .pass(kind, Map::new(), json!(message), fd)
            .expect("the channel has room");
        let acked = try_eventually(SOON, || match self.channel.recv() {
            Ok(Some(Incoming::Acked)) => Some(true),
            Ok(Some(_)) => None,
            Err(error) if error.would_block() => None,
            _ => Some(false),
        });
        if acked == Some(false) {
            // What it says at its end comes last.
            let _ = try_eventually(Duration::from_secs(1), || {
                self.program.output_ended().then_some(())
            });
        }
        assert!(
            acked == Some(true),
            "a descriptor ({kind}, {message:?}) was sent to your worker, which {}. It says:\n{}{}\
             Who calls recv() until it says WouldBlock, and waits then? (That is not the end.)",
            if acked.is_none() {
                "does not take it"
            } else {
                "has closed its channel"
            },
            self.program.stdout(),
            self.program.stderr()
        );
    }

    /// Whether our end of the channel sees the other one.
    fn channel_is_open(&mut self) -> bool {
        loop {
            match self.channel.recv() {
                Ok(Some(_)) => {}
                Ok(None) => return false,
                Err(error) => return error.would_block(),
            }
        }
    }

    /// Asks at this address. If that fails, what the worker says is told.
    #[track_caller]
    fn must_answer(&self, addr: SocketAddr) -> Response {
        ask(addr).unwrap_or_else(|why| {
            panic!(
                "a request on the listener is not answered: {why}. The worker (pid {}) says:\n{}{}",
                self.program.pid(),
                self.program.stdout(),
                self.program.stderr()
            )
        })
    }

    /// Ends the channel; the worker has to follow.
    #[track_caller]
    fn must_end(&mut self, story: &str) {
        let (ours, _) = std::os::unix::net::UnixStream::pair().expect("a pair");
        // The old channel is dropped, and so closed.
        self.channel = FdChannel::new(ours).expect("a channel");
        let status = try_eventually(END_LIMIT, || self.program.try_wait());
        let Some(status) = status else {
            panic!(
                "the parent has ended the channel 2 s ago, and your worker (pid {}) still runs: {story}. \
                 It would keep the port for ever. Which thread looks at the channel while another one \
                 waits for clients?",
                self.program.pid()
            );
        };
        assert!(
            status.success(),
            "the end of the channel is how a worker learns that it is time to go: no error. Yours ended \
             with {status} and says:\n{}",
            self.program.stderr()
        );
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let addr = listener.local_addr().expect("its address");
    (listener, addr)
}

/// One request, on a connection of its own.
fn ask(addr: SocketAddr) -> Result<Response, String> {
    let ask = || {
        let mut client = Client::connect(addr)?;
        client.stream().set_read_timeout(Some(SOON))?;
        client.send_raw(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
        )?;
        client.read_response()
    };
    ask().map_err(|error: std::io::Error| error.to_string())
}
