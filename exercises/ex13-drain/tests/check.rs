//! What your program has to do. `cargo test -p ex13-drain`
//!
//! Here the test is the parent: it gives your worker a channel and a listener, and connects to it.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use ch03_handles::{Delivery, Handle, HandleChannel};
use serde_json::{Value, json};
use testkit::http::{self, Client, Response};
use testkit::{Running, Signal, cpu_time, exercise, fds, pid_in, try_eventually};

/// For what should happen soon. It is long because the machine may be busy.
const SOON: Duration = Duration::from_secs(6);

/// How long a worker may drain: `harness::LIMIT`.
const LIMIT: Duration = Duration::from_secs(2);

/// For what should happen at once: clearly before the limit.
const PROMPT: Duration = Duration::from_millis(1500);

/// A window to look through, for what must not happen.
const A_WHILE: Duration = Duration::from_millis(300);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// Your worker, as its parent sees it.
struct Worker {
    process: Running,
    /// `None`: the parent is gone.
    channel: Option<HandleChannel>,
    listener: TcpListener,
    addr: SocketAddr,
    /// Its descriptors, while it has no client.
    idle_fds: usize,
}

/// Starts your worker, and gives it a listener.
#[track_caller]
fn worker() -> Worker {
    worker_for(TcpListener::bind("127.0.0.1:0").expect("a port"))
}

/// Starts your worker, and returns once it has acknowledged this listener.
#[track_caller]
fn worker_for(listener: TcpListener) -> Worker {
    let (program, stream) = exercise!().arg("worker").channel();
    let mut channel = HandleChannel::new(stream).expect("a channel");
    let copy = listener.try_clone().expect("a copy");
    let sent =
        channel.send_handle(Value::from("server"), Handle::TcpListener(copy));
    sent.expect("the listener leaves");
    let addr = listener.local_addr().expect("its address");
    let mut worker = Worker {
        process: program.start(),
        channel: Some(channel),
        listener,
        addr,
        idle_fds: 0,
    };
    let answer = worker.next(SOON);
    assert!(
        matches!(answer, Some(Delivery::Acked)),
        "the worker was sent a listener, and should acknowledge it, which `harness::hear` does for you. \
         What came was {answer:?} (None is the end of its channel). Does your loop hear its parent?\n{}",
        worker.process.stderr()
    );
    worker.idle_fds = fds(worker.process.pid()).len();
    worker
}

impl Worker {
    /// Blocks until it says something; `None` at the end of its channel, or if it says nothing in time.
    fn next(&mut self, within: Duration) -> Option<Delivery> {
        let channel = self.channel.as_mut()?;
        let next = try_eventually(within, || match channel.recv() {
            Err(error) if error.would_block() => None,
            other => Some(other),
        });
        next?.ok().flatten()
    }

    /// Blocks until it says that it drains.
    #[track_caller]
    fn wait_for_suicide(&mut self, why: &str) {
        let said = self.next(PROMPT);
        let suicide = json!({"act": "suicide"});
        assert!(
            matches!(&said, Some(Delivery::Message(it)) if it.message == suicide),
            "{why}. The worker should tell its parent so, with the message {suicide}, and at once: the \
             replacement has to start while this one is still at work. What came was {said:?} (None: \
             nothing in {PROMPT:?}, or the end of its channel)."
        );
    }

    /// Connects, sends `bytes`, and returns once the worker has accepted.
    #[track_caller]
    fn client(&self, bytes: &[u8]) -> Client {
        let before = fds(self.process.pid()).len();
        let client = self.caller(bytes);
        let accepted = try_eventually(SOON, || {
            (fds(self.process.pid()).len() > before).then_some(())
        });
        assert!(
            accepted.is_some(),
            "a client has connected, and the worker does not accept it"
        );
        client
    }

    /// Connects and sends `bytes`. Whoever accepts it: the kernel takes both.
    #[track_caller]
    fn caller(&self, bytes: &[u8]) -> Client {
        let mut client = Client::connect(self.addr).expect("the listener is open");
        client.send_raw(bytes).expect("to send");
        client
    }

    fn sigterm(&self) {
        // It may have ended: the test says so, in its own words.
        self.process.process().signal(Signal::SIGTERM);
    }

    /// Blocks until the worker has ended, which should be within `limit`, with 1.
    #[track_caller]
    fn wait_for_exit(&self, limit: Duration, hint: &str) {
        let status = try_eventually(limit, || self.process.try_wait());
        let told = match status {
            Some(status) => status.to_string(),
            None => format!("it lives, after {limit:?}"),
        };
        assert_eq!(
            status.and_then(|status| status.code()),
            Some(1),
            "the worker should end, with exit code 1; but: {told}. {hint}\n{}",
            self.process.stderr()
        );
    }
}

/// Sends the other half of a request, and reads the answer.
#[track_caller]
fn finish(mut client: Client, half: &[u8], worker: &Worker) {
    let answer = client
        .send_raw(&REQUEST[half.len()..])
        .and_then(|()| client.read_response());
    let Ok(Response { body, .. }) = &answer else {
        panic!(
            "a client had sent half a request when the drain began, and sent the rest of it then. It \
             should be answered; it got: {answer:?}. The worker's exit: {:?}. What does it still have to \
             do before it may end?",
            worker.process.try_wait()
        );
    };
    assert_eq!(
        pid_in(body),
        Some(worker.process.pid()),
        "by the worker that had accepted it"
    );
}

#[test]
fn it_answers_and_keeps_nothing_of_those_who_have_gone() {
    let worker = worker();
    for number in 1..=40 {
        let answer = http::get(worker.addr);
        assert!(
            answer.is_ok(),
            "request {number} was not answered: {answer:?}. Nobody drains yet: the loop has to accept, \
             and to go on with each connection.\n{}",
            worker.process.stderr()
        );
    }
    let open = || fds(worker.process.pid()).len();
    let freed = try_eventually(SOON, || (open() == worker.idle_fds).then_some(()));
    assert!(
        freed.is_some(),
        "40 clients have come and gone. Before them the worker had {} descriptors open, now it has {}. \
         What do you do with a connection whose step is `Closed`?",
        worker.idle_fds,
        open()
    );
}

#[test]
fn with_no_client_it_ends_at_once() {
    let mut worker = worker();
    worker.sigterm();
    worker.wait_for_suicide("SIGTERM came");
    worker.wait_for_exit(
        PROMPT,
        "It has no client. The limit is for those who are slow; what is it waiting for?",
    );
}

#[test]
fn half_a_request_is_answered_when_its_rest_comes_after_sigterm() {
    let mut worker = worker();
    let half = &REQUEST[..9];
    let client = worker.client(half);
    worker.sigterm();
    worker.wait_for_suicide("SIGTERM came");
    finish(client, half, &worker);
    worker.wait_for_exit(SOON, "Its only client was answered, and has gone.");
}

#[test]
fn after_a_crash_the_other_clients_are_answered_too() {
    let mut worker = worker();
    let half = &REQUEST[..20];
    let client = worker.client(half);
    let mut crash = worker.caller(b"GET /crash HTTP/1.1\r\n\r\n");
    let answer = crash.read_response();
    assert!(
        answer.is_ok(),
        "the failure is behind the answer, but that did not come: {answer:?}"
    );
    worker.wait_for_suicide("The worker's program has failed (`Step::Failed`)");
    finish(client, half, &worker);
    let early = try_eventually(A_WHILE, || worker.process.try_wait());
    assert!(
        early.is_none(),
        "the worker's program has failed behind an answer. The client that got it has not closed its \
         connection yet, and the worker has ended ({early:?}). A step that says `Failed` leaves the \
         connection open: what did you do with it?"
    );
    drop(crash);
    worker.wait_for_exit(SOON, "Both clients were answered, and have gone.");
}

#[test]
fn suicide_is_said_once_however_many_reasons_there_are() {
    let mut worker = worker();
    let half = &REQUEST[..9];
    let client = worker.client(half);
    let crash = worker.client(b"GET /crash HTTP/1.1\r\n");
    worker.sigterm();
    worker.wait_for_suicide("SIGTERM came");
    worker.sigterm();
    let mut crash = crash;
    crash.send_raw(b"\r\n").expect("to send");
    let _ = crash.read_response();
    drop(crash);
    finish(client, half, &worker);
    let mut words = Vec::new();
    while let Some(said) = worker.next(SOON) {
        words.push(said);
    }
    assert!(
        words.is_empty(),
        "the worker drains since the first SIGTERM. Then came another, and a crash, and it said again: \
         {words:?}. Its parent starts a worker for each. How do you know that you drain already?"
    );
    worker.wait_for_exit(SOON, "Both clients were answered, and have gone.");
}

#[test]
fn who_connects_during_the_drain_waits_for_another_worker() {
    let mut old = worker();
    let half = &REQUEST[..9];
    let client = old.client(half);
    old.sigterm();
    old.wait_for_suicide("SIGTERM came");
    let mut newcomer = old.caller(REQUEST);
    let used = cpu_time(old.process.pid());
    newcomer.stream().set_read_timeout(Some(A_WHILE)).expect("a time-out");
    let early = newcomer.stream().peek(&mut [0]);
    newcomer.stream().set_read_timeout(Some(SOON)).expect("a time-out");
    let used = cpu_time(old.process.pid()).saturating_sub(used);
    assert!(
        early.is_err(),
        "a client has connected during the drain, and it got something ({early:?} bytes; 0 is the end) \
         from the worker that drains. It should wait in the listener for another. Who calls accept?"
    );
    assert!(
        used < A_WHILE / 2,
        "the worker drains, and nothing happens. In {A_WHILE:?} it has used {used:?} of processor time. \
         Which of the things that poll(2) waits for is ready all the time?"
    );
    finish(client, half, &old);
    old.wait_for_exit(SOON, "Its only client was answered, and has gone.");
    let new = worker_for(old.listener);
    let answer = newcomer.read_response();
    let by = answer.as_ref().ok().and_then(|answer| pid_in(&answer.body));
    assert_eq!(
        by,
        Some(new.process.pid()),
        "a client has connected during the drain. It waited in the listener, and another worker has \
         that now: who accepts it answers. It got {answer:?}. Did the old worker take it along?"
    );
}

#[test]
fn a_client_that_never_finishes_is_waited_for_until_the_limit_and_no_longer() {
    // Nothing happens to this one after the first word.
    let alone = worker();
    let _silent = alone.client(&REQUEST[..9]);
    alone.sigterm();
    let worker = worker();
    let _client = worker.client(&REQUEST[..9]);
    let began = Instant::now();
    // To be asked again and again does not prolong it.
    let asked = try_eventually(LIMIT + SOON / 2, || {
        worker.sigterm();
        std::thread::sleep(Duration::from_millis(20));
        worker.process.try_wait()
    });
    let took = began.elapsed();
    assert!(
        asked.is_some(),
        "a client never sends the rest of its request. SIGTERM came {took:?} ago, and again and again \
         since, and the worker lives. The limit is {LIMIT:?} from the first: what starts the clock, and \
         what wakes you when it has run out?"
    );
    assert!(
        took >= LIMIT,
        "a client had sent half a request when the drain began. It has {LIMIT:?} to send the rest, and \
         the worker has ended after {took:?}. What made it end?\n{}",
        worker.process.stderr()
    );
    worker.wait_for_exit(SOON, "Its time was up.");
    alone.wait_for_exit(
        SOON,
        "SIGTERM came once, its client never says another word, and its time is up. What wakes it?",
    );
}

#[test]
fn when_its_parent_is_gone_it_drains_as_well() {
    let mut worker = worker();
    let half = &REQUEST[..9];
    let client = worker.client(half);
    let used = cpu_time(worker.process.pid());
    worker.channel = None;
    let early = try_eventually(A_WHILE, || worker.process.try_wait());
    assert!(
        early.is_none(),
        "its parent is gone, but a client has sent half a request, and should get its answer. The \
         worker has ended ({early:?})"
    );
    let used = cpu_time(worker.process.pid()).saturating_sub(used);
    assert!(
        used < A_WHILE / 2,
        "its parent is gone, and the worker waits for a client. In {A_WHILE:?} it has used {used:?} of \
         processor time. Which of the things that poll(2) waits for is ready all the time?"
    );
    finish(client, half, &worker);
    worker.wait_for_exit(
        SOON,
        "Its parent is gone, and nobody will ever ask it to end. `Heard::ParentIsGone` says so.",
    );
}
