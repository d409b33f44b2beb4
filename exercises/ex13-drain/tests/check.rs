//! What your program has to do. `cargo test -p ex13-drain`
//!
//! Here the test is the parent: it gives your worker a channel and a listener, and
//! it is the worker's clients.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::ExitStatusExt as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ch02_balance::Received;
use ch03_handles::{Handle, HandleChannel};
use serde_json::{Value, json};
use testkit::http::{self, Client, Response, in_words};
use testkit::{Running, Signal, cpu_time, exercise, fds, pid_in, try_eventually};

/// How long we wait for what should happen at once. Long, because the machine may
/// be busy.
const SOON: Duration = Duration::from_secs(6);

/// For what must not happen: how long we look.
const A_WHILE: Duration = Duration::from_millis(300);

/// A limit that no test sees the end of: what happens before is not because of the
/// limit.
const FOR_EVER: &str = "600000";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The first so many bytes of it are half a request.
const HALF: usize = 9;

/// Your worker, as its parent sees it.
struct Worker {
    process: Running,
    /// `None`: the parent has closed it.
    channel: Option<HandleChannel>,
    /// Received from the worker, and not looked at.
    received: VecDeque<Received<Handle>>,
    listener: TcpListener,
    addr: SocketAddr,
    /// How many descriptors it has open without a client.
    idle_fds: usize,
}

/// Starts your worker, and gives it a listener.
#[track_caller]
fn worker(args: &[&str]) -> Worker {
    worker_for(TcpListener::bind("127.0.0.1:0").expect("a port"), args)
}

/// Starts your worker, and returns once it has acknowledged this listener.
#[track_caller]
fn worker_for(listener: TcpListener, args: &[&str]) -> Worker {
    let (program, stream) = exercise!().arg("worker").args(args).channel();
    let mut channel = HandleChannel::new(stream).expect("a channel");
    let copy = Handle::TcpListener(listener.try_clone().expect("a copy"));
    channel.send_handle(Value::from("server"), copy).expect("to send the listener");
    let addr = listener.local_addr().expect("its address");
    let mut worker = Worker {
        process: program.start(),
        channel: Some(channel),
        received: VecDeque::new(),
        listener,
        addr,
        idle_fds: 0,
    };
    let (first, waited) = worker.next();
    assert!(
        matches!(first, Some(Received::Acked)),
        "the worker was sent a listener, and acknowledges it when you call `receive` on the \
         channel. In {waited} the test received {}. Does your loop receive?\n{}",
        received_in_words(first.as_ref()),
        worker.process.describe()
    );
    worker.idle_fds = worker.open_fds();
    worker
}

impl Worker {
    /// Blocks until the worker has sent something, and returns that. `None`:
    /// nothing. Also returns how long that took, in words.
    fn next(&mut self) -> (Option<Received<Handle>>, String) {
        let began = Instant::now();
        let next = self.next_within(SOON);
        let waited = format!(
            "{:.1?} ({SOON:?}, or longer if the machine is busy)",
            began.elapsed()
        );
        if matches!(next, Some(Received::Closed(_))) {
            // It may be about to exit, and say why.
            let over =
                || self.process.try_wait().is_some() && self.process.output_ended();
            let _ = try_eventually(SOON / 6, || over().then_some(()));
        }
        (next, waited)
    }

    fn next_within(&mut self, limit: Duration) -> Option<Received<Handle>> {
        let (channel, received) = (&mut self.channel, &mut self.received);
        try_eventually(limit, || {
            if received.is_empty() {
                received.extend(channel.as_mut()?.receive());
            }
            received.pop_front()
        })
    }

    fn open_fds(&self) -> usize {
        fds(self.process.pid()).len()
    }

    /// Whether the worker has the listener open.
    fn has_listener(&self) -> bool {
        let number = self.listener.as_raw_fd();
        let ours = fds(std::process::id() as i32);
        let (_, name) = ours.iter().find(|it| it.0 == number).expect("it is open");
        fds(self.process.pid()).iter().any(|it| it.1 == *name)
    }

    /// Blocks until the worker has said that it drains.
    #[track_caller]
    fn wait_for_suicide(&mut self, why: &str) {
        let suicide = json!({"act": "suicide"});
        let (said, waited) = self.next();
        assert!(
            matches!(&said, Some(Received::Message(it)) if *it == suicide),
            "{why}. The worker should send {suicide} to its parent, and at once: the \
             replacement has to start while this worker still answers. In {waited} the parent \
             received {}.\n{}",
            received_in_words(said.as_ref()),
            self.process.describe()
        );
    }

    /// Connects and sends `bytes`, and returns once the worker has accepted.
    #[track_caller]
    fn client(&self, bytes: &[u8]) -> Client {
        let before = self.open_fds();
        let client = self.caller(bytes);
        let accepted =
            try_eventually(SOON, || (self.open_fds() > before).then_some(()));
        assert!(
            accepted.is_some(),
            "a client has connected, and the worker has not accepted it in {SOON:?}.\n{}",
            self.process.describe()
        );
        client
    }

    /// Connects and sends `bytes`. The connection may stay in the backlog.
    #[track_caller]
    fn caller(&self, bytes: &[u8]) -> Client {
        let mut client = Client::connect(self.addr).expect("the listener is open");
        client.send_raw(bytes).expect("to send");
        client
    }

    /// A client that was answered once, and keeps its connection.
    #[track_caller]
    fn kept_client(&self) -> Client {
        let mut client = self.caller(b"");
        let response = client.get("/");
        assert!(
            response.as_ref().is_ok_and(|response| !is_last(response)),
            "a client has sent a request. The worker does not drain, so the response should \
             come without `Connection: close`: the client may ask again. The client got {}\n{}",
            in_words(&response),
            self.process.describe()
        );
        client
    }

    fn sigterm(&self) {
        // If it has exited, the test says so in its own words.
        self.process.process().signal(Signal::SIGTERM);
    }

    /// Blocks until the worker has exited, which it should soon, and with 0.
    #[track_caller]
    fn wait_for_exit(&self, why: &str) {
        let began = Instant::now();
        let status = try_eventually(SOON, || self.process.try_wait());
        let how = match status {
            Some(status) => format!("has exited ({status})"),
            None => {
                format!(
                    "runs, {:.1?} later ({SOON:?}, or longer if the machine is busy)",
                    began.elapsed()
                )
            }
        };
        assert!(
            status.is_some_and(|status| status.success()),
            "{why} So the worker should exit, with 0; but it {how}. What does your loop still wait \
             for, or which error does `serve` return?\n{}",
            self.process.describe()
        );
    }

    /// Fails if the worker uses the processor while nothing happens.
    #[track_caller]
    fn assert_sleeps(&self, when: &str) {
        let pid = self.process.pid();
        // A busy machine gives even a process that never sleeps little time, but
        // some.
        let spins = (0..3).all(|_| {
            let before = cpu_time(pid);
            sleep(A_WHILE);
            cpu_time(pid) > before
        });
        assert!(
            !spins,
            "{when}. Nothing happens, and the worker has used processor time in each of three \
             times {A_WHILE:?}. Which of the descriptors that poll(2) waits for is ready all \
             the time?"
        );
    }

    #[track_caller]
    fn assert_runs(&self, when: &str, hint: &str) {
        if let Some(status) = self.process.try_wait() {
            panic!(
                "{when}. The worker has exited ({status}). {hint}\n{}",
                self.process.describe()
            );
        }
    }
}

/// What the worker has sent, in words for the message of a failure.
fn received_in_words(received: Option<&Received<Handle>>) -> String {
    match received {
        None => "nothing".to_owned(),
        Some(Received::Message(message)) => format!("the message {message}"),
        Some(Received::Internal(message)) => {
            format!("the internal message {message}")
        }
        Some(Received::Handle(message, _)) => {
            format!("a handle with the message {message}")
        }
        Some(Received::Acked) => "an acknowledgement".to_owned(),
        Some(Received::Returned(..)) => {
            "the listener, which it could not take".to_owned()
        }
        Some(Received::Ignored(why)) => format!("what is no message ({why})"),
        Some(Received::Closed(None)) => "the end of the channel".to_owned(),
        Some(Received::Closed(Some(error))) => {
            format!("the end of the channel ({error})")
        }
    }
}

fn is_last(response: &Response) -> bool {
    response.header("Connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
}

/// Sends the rest of a request to a worker that drains. Its response should be the
/// last.
#[track_caller]
fn finish(mut client: Client, rest: &[u8], worker: &Worker, story: &str) {
    let response = client.send_raw(rest).and_then(|()| client.read_response());
    let by = response.as_ref().ok().and_then(|it| pid_in(&it.body));
    let pid = worker.process.pid();
    assert!(
        by == Some(pid),
        "{story}. It should be answered by the worker that had accepted it (process {pid}); it \
         got {}. What must this worker still do before it exits?\n{}",
        in_words(&response),
        worker.process.describe()
    );
    assert!(
        response.as_ref().is_ok_and(is_last),
        "{story}. It was answered, but without `Connection: close`: so it keeps the \
         connection, and sends the next request to a worker that is about to exit. What do you \
         pass to `step` during a drain? The client got {}",
        in_words(&response)
    );
}

#[test]
fn it_answers_many_requests_on_one_connection_and_on_many() {
    let worker = worker(&["--limit", FOR_EVER]);
    let mut client = worker.kept_client();
    for number in 2..=5 {
        let response = client.get("/");
        assert!(
            response.as_ref().is_ok_and(|response| !is_last(response)),
            "a client has sent request {number} on its connection. The worker does not drain, \
             so the response should come without `Connection: close`; the client got {}\n{}",
            in_words(&response),
            worker.process.describe()
        );
    }
    drop(client);
    for number in 1..=20 {
        let response = http::get(worker.addr);
        assert!(
            response.is_ok(),
            "{number} clients have connected, one after another. The last one got {}. What does \
             your loop do after `wait`? It has to accept, and to go on with each connection.\n{}",
            in_words(&response),
            worker.process.describe()
        );
    }
    let freed = || (worker.open_fds() <= worker.idle_fds).then_some(());
    assert!(
        try_eventually(SOON, freed).is_some(),
        "21 clients have connected and closed their connections. Before them the worker had {} \
         descriptors open; now, {SOON:?} later, it has {}. What do you do with a connection \
         whose step is `Closed`?",
        worker.idle_fds,
        worker.open_fds()
    );
    worker.assert_sleeps("all clients have closed their connections");
}

#[test]
fn without_a_connection_it_exits_at_once() {
    let mut worker = worker(&["--limit", FOR_EVER]);
    worker.sigterm();
    worker.wait_for_suicide("SIGTERM arrived");
    worker.wait_for_exit(
        "SIGTERM arrived, and no connection is open. The limit is for connections: it is 10 \
         minutes here.",
    );
}

#[test]
fn an_idle_connection_is_kept_and_gets_one_more_response() {
    let mut worker = worker(&["--limit", FOR_EVER]);
    let mut client = worker.kept_client();
    let second = worker.kept_client();
    worker.sigterm();
    worker.wait_for_suicide("SIGTERM arrived");
    assert!(
        !client.is_closed_within(A_WHILE),
        "a client was answered, and keeps its connection. SIGTERM arrived, and the worker has \
         closed the connection. A request may be on its way just then, and would be lost. What \
         ends a connection?"
    );
    worker.assert_runs(
        "two clients were answered, and keep their connections. SIGTERM arrived",
        "Each may ask once more. What does the worker wait for, and for how long?",
    );
    let story = "a client was answered, and keeps its connection. Then the drain began, and it \
                 has asked once more";
    finish(client, REQUEST, &worker, story);
    worker.assert_runs(
        "one of two clients has got its last response",
        "The other one may still ask. What must be true of all connections before `serve` \
         returns?",
    );
    finish(second, REQUEST, &worker, story);
    worker.wait_for_exit(
        "SIGTERM arrived, and both clients have got their last response and have closed their \
         connections.",
    );
}

#[test]
fn half_a_request_is_answered_when_the_rest_arrives_after_sigterm() {
    let mut worker = worker(&["--limit", FOR_EVER]);
    let client = worker.client(&REQUEST[..HALF]);
    worker.sigterm();
    worker.wait_for_suicide("SIGTERM arrived");
    let story = "a client had sent half a request when SIGTERM arrived, and has sent the rest now";
    finish(client, &REQUEST[HALF..], &worker, story);
    worker.wait_for_exit(
        "SIGTERM arrived, and the only client has closed its connection.",
    );
}

#[test]
fn after_a_crash_all_clients_are_answered() {
    let mut worker = worker(&["--limit", FOR_EVER, "--crash-after", "1"]);
    let slow = worker.client(&REQUEST[..HALF]);
    let mut crash = worker.caller(REQUEST);
    let response = crash.read_response();
    assert!(
        response.is_ok(),
        "the worker's program fails after its first response, so its client should have that \
         response. The client got {}. Do you drop the connection whose step is `Failed`?\n{}",
        in_words(&response),
        worker.process.describe()
    );
    worker.wait_for_suicide("the worker's program has failed (`Step::Failed`)");
    let story = "a client had sent half a request when the worker's program failed, and has \
                 sent the rest now";
    finish(slow, &REQUEST[HALF..], &worker, story);
    worker.assert_runs(
        "the worker's program has failed after a response. The client that got the response \
         keeps its connection, and may ask once more",
        "What did you do with the connection whose step was `Failed`?",
    );
    let story = "the worker's program has failed after a response. The client that got it \
                 keeps its connection, and has asked once more. (If its connection was closed: \
                 what did you do when its step was `Failed`?)";
    finish(crash, REQUEST, &worker, story);
    worker.wait_for_exit(
        "the worker's program has failed, and both clients have closed their connections.",
    );
}

#[test]
fn suicide_is_said_once_however_many_reasons_there_are() {
    let mut worker = worker(&["--limit", FOR_EVER, "--crash-after", "1"]);
    let slow = worker.client(&REQUEST[..HALF]);
    let crash = worker.client(&REQUEST[..HALF]);
    worker.sigterm();
    worker.wait_for_suicide("SIGTERM arrived");
    worker.sigterm();
    let story = "a client had sent half a request when SIGTERM arrived, and has sent the rest now";
    finish(crash, &REQUEST[HALF..], &worker, story);
    finish(slow, &REQUEST[HALF..], &worker, story);
    worker.wait_for_exit(
        "SIGTERM arrived, and both clients have closed their connections.",
    );
    let mut more = Vec::new();
    while let (Some(said), _) = worker.next() {
        match said {
            Received::Closed(_) => break,
            said => more.push(received_in_words(Some(&said))),
        }
    }
    assert!(
        more.is_empty(),
        "SIGTERM arrived, and the worker has said that it drains. Then SIGTERM arrived again, \
         and its program failed, and it has sent more: {}. Its parent starts a replacement \
         each time. How do you know that the worker drains already?",
        more.join(", ")
    );
}

#[test]
fn a_client_that_connects_during_the_drain_is_left_to_another_worker() {
    let mut old = worker(&["--limit", FOR_EVER]);
    let client = old.client(&REQUEST[..HALF]);
    old.sigterm();
    old.wait_for_suicide("SIGTERM arrived");
    let mut newcomer = old.caller(REQUEST);
    newcomer.stream().set_read_timeout(Some(A_WHILE)).expect("a time-out");
    let early = newcomer.stream().peek(&mut [0]);
    newcomer.stream().set_read_timeout(Some(SOON)).expect("a time-out");
    if let Ok(bytes) = early {
        let what = if bytes == 0 {
            "has closed its connection"
        } else {
            "has answered it"
        };
        panic!(
            "a client has connected during the drain, and in {A_WHILE:?} the worker that \
             drains {what}. The client should stay in the backlog, for another worker. When do \
             you call `accept`?"
        );
    }
    old.assert_sleeps("the worker drains, and a client waits in the backlog");
    assert!(
        !old.has_listener(),
        "the worker drains, and still has the listener open. As long as one process has it \
         open, clients can connect: if the whole server stops, they wait in vain. What closes \
         your copy?"
    );
    let story = "a client had sent half a request when SIGTERM arrived, and has sent the rest now";
    finish(client, &REQUEST[HALF..], &old, story);
    old.wait_for_exit(
        "SIGTERM arrived, and the only client has closed its connection.",
    );
    let new = worker_for(old.listener, &["--limit", FOR_EVER]);
    let response = newcomer.read_response();
    let by = response.as_ref().ok().and_then(|it| pid_in(&it.body));
    assert!(
        by == Some(new.process.pid()),
        "a client has connected during the drain, and stayed in the backlog. Now another \
         worker has the listener, and should accept and answer it. The client got {}. Did the \
         old worker accept it?",
        in_words(&response)
    );
}

#[test]
fn a_listener_that_arrives_during_the_drain_is_not_served() {
    let mut worker = worker(&["--limit", FOR_EVER]);
    let client = worker.client(&REQUEST[..HALF]);
    worker.sigterm();
    worker.wait_for_suicide("SIGTERM arrived");
    worker.listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    worker.addr = worker.listener.local_addr().expect("its address");
    let copy = Handle::TcpListener(worker.listener.try_clone().expect("a copy"));
    let channel = worker.channel.as_mut().expect("it is open");
    // If the worker has exited, the test says so below.
    let _ = channel.send_handle(Value::from("server"), copy);
    // A worker that does not receive any more does not acknowledge it. That is fine too.
    let received = worker.next_within(SOON / 3);
    let late = worker.caller(REQUEST);
    late.stream().set_read_timeout(Some(A_WHILE)).expect("a time-out");
    let story = "the worker drains, because SIGTERM arrived, and a client has sent half a \
                 request. Now a listener has arrived";
    assert!(
        late.stream().peek(&mut [0]).is_err(),
        "{story}, and a client has connected to it. The worker has accepted this connection. A \
         worker that drains accepts none. What do you do with a listener that arrives during \
         the drain?"
    );
    if matches!(received, Some(Received::Acked)) {
        let closed =
            try_eventually(SOON, || (!worker.has_listener()).then_some(()));
        assert!(
            closed.is_some(),
            "{story}, and {SOON:?} later the worker still has it open. What closes it?"
        );
    }
    worker.assert_sleeps(story);
    let story = "a client had sent half a request when SIGTERM arrived. Then a listener \
                 arrived, and now the client has sent the rest";
    finish(client, &REQUEST[HALF..], &worker, story);
    worker.wait_for_exit(
        "SIGTERM arrived, and the only client has closed its connection.",
    );
}

#[test]
fn a_connection_is_kept_until_the_limit_and_no_longer() {
    const LIMIT: Duration = Duration::from_millis(900);
    let limit = ["--limit", "900"];
    // One worker is asked once; nothing happens to it after that. The other is
    // asked again and again.
    let (alone, mut pestered) = (worker(&limit), worker(&limit));
    let (_half, _idle) = (alone.client(&REQUEST[..HALF]), alone.kept_client());
    let _client = pestered.client(&REQUEST[..HALF]);
    let began = Instant::now();
    alone.sigterm();
    pestered.sigterm();
    // If no drain has begun, the question below about its deadline would mislead.
    pestered.wait_for_suicide(
        "a client has sent half a request, and never sends the rest. SIGTERM arrived",
    );
    let exited = try_eventually(LIMIT + SOON, || {
        pestered.sigterm();
        sleep(Duration::from_millis(20));
        pestered.process.try_wait()
    });
    let took = began.elapsed();
    assert!(
        exited.is_some(),
        "a client has sent half a request, and never sends the rest. SIGTERM arrived \
         {took:.1?} ago, and again every 20 ms since then, and the worker runs. The limit is \
         {LIMIT:?} from the first SIGTERM on. What sets the deadline?"
    );
    assert!(
        took >= LIMIT,
        "a client had sent half a request when the drain began. It has {LIMIT:?} to send the \
         rest, and the worker has exited after {took:.1?}. Which condition ends your loop?\n{}",
        pestered.process.describe()
    );
    // When `serve` has returned, its `SignalPipe` is gone. One more SIGTERM may then kill the
    // program before it has exited by itself.
    if exited.and_then(|status| status.signal()) != Some(Signal::SIGTERM as i32) {
        pestered.wait_for_exit("the limit is over.");
    }
    alone.wait_for_exit(&format!(
        "SIGTERM arrived once, {took:.1?} ago, and then nothing more happened: one client has \
         sent half a request, and another keeps its connection. The limit of {LIMIT:?} is \
         over. (If the worker runs: what wakes it?)"
    ));
}

#[test]
fn when_its_parent_has_exited_it_drains_as_well() {
    let mut worker = worker(&["--limit", FOR_EVER]);
    let client = worker.client(&REQUEST[..HALF]);
    worker.channel = None;
    let drains = || (!worker.has_listener()).then_some(());
    assert!(
        try_eventually(SOON, drains).is_some(),
        "the worker's parent has exited, and no process will ever send this worker a signal. \
         So it drains; but {SOON:?} later it still has the listener open. What does `receive` \
         return at the end of the channel? (And if the worker drains: what closes its copy of \
         the listener?)\n{}",
        worker.process.describe()
    );
    worker.assert_sleeps(
        "the worker's parent has exited, and a client has sent half a request",
    );
    worker.assert_runs(
        "the worker's parent has exited, and a client has sent half a request",
        "The client may send the rest. Does your loop end with the channel, or with the last \
         connection?",
    );
    let story = "a client had sent half a request when the worker's parent exited, and has \
                 sent the rest now";
    finish(client, &REQUEST[HALF..], &worker, story);
    worker.wait_for_exit(
        "the worker's parent has exited, and its only client has closed its connection.",
    );
}
