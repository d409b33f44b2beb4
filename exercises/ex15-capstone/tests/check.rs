//! What your server has to do. `cargo test -p ex15-capstone`

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::http::{self, Client};
use testkit::load::{Kind, Load, Report};
use testkit::{
    Process, Running, Signal, cpu_time, exercise, fds, pid_in, try_eventually,
    zombies_of,
};

/// For what should happen soon. It is long because the machine may be busy.
const SOON: Duration = Duration::from_secs(8);

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// So many bytes of it are half a request.
const HALF: usize = 9;

/// How long workers are hit under load.
const TORMENT: Duration = Duration::from_millis(1500);

/// Starts your server, and returns once its workers answer.
#[track_caller]
fn server(workers: usize, crash_after: u64) -> Running {
    let numbers = [workers.to_string(), crash_after.to_string()];
    let arguments =
        ["--port", "0", "--workers", &numbers[0], "--crash-after", &numbers[1]];
    let server = exercise!().args(arguments).start();
    let port = server.port();
    wait_until_full(&server, workers, &BTreeSet::new(), "at the start");
    let listener =
        sockets(port).into_iter().find(|it| it.listens).map(|it| it.name);
    let has_it = |worker: &Process| {
        fds(worker.pid).iter().any(|(_, fd)| Some(fd) == listener.as_ref())
    };
    let all_have_it =
        try_eventually(SOON, || server.children().iter().all(has_it).then_some(()));
    assert!(
        all_have_it.is_some(),
        "each worker needs the listener on port {port}, which is {listener:?}; their descriptors are \
         {:?}. Who sends it to them?\n{}",
        server.children().iter().map(|it| fds(it.pid)).collect::<Vec<_>>(),
        server.stderr()
    );
    server
}

/// A TCP socket of this machine: a line of `/proc/net/tcp` (proc_net(5)).
struct Socket {
    listens: bool,
    /// The port at the other end.
    remote: u16,
    /// Whether some process has it: not so, as long as it waits to be accepted.
    accepted: bool,
    /// What it is called in `/proc/PID/fd`.
    name: String,
}

/// The sockets whose own port is `port`.
fn sockets(port: u16) -> Vec<Socket> {
    let table = fs::read_to_string("/proc/net/tcp")
        .expect("/proc is needed to find sockets");
    let port_in =
        |address: &str| u16::from_str_radix(address.split_once(':')?.1, 16).ok();
    let socket = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, state, _, _, _, _, _, inode, ..] = fields[..] else {
            return None;
        };
        (port_in(local)? == port).then_some(Socket {
            listens: state == "0A",
            remote: port_in(remote)?,
            accepted: inode != "0",
            name: format!("socket:[{inode}]"),
        })
    };
    table.lines().skip(1).filter_map(socket).collect()
}

/// Blocks until there are `workers`, of which none is one of `gone`, and no zombie.
#[track_caller]
fn wait_until_full(
    server: &Running,
    workers: usize,
    gone: &BTreeSet<i32>,
    when: &str,
) {
    let living =
        || server.children().iter().map(|it| it.pid).collect::<BTreeSet<i32>>();
    let full = || {
        let living = living();
        living.len() == workers
            && living.is_disjoint(gone)
            && zombies_of(server.pid()).is_empty()
    };
    let over = || full() || server.try_wait().is_some();
    let _ = try_eventually(SOON, || over().then_some(()));
    assert!(
        full(),
        "{when}: {workers} workers should live, and nobody else, and no zombie. There are {:?}, and {} \
         zombies; {gone:?} were ended. Fewer: who is told that one is missing? More: is one replaced \
         for its suicide, and once more for its end?\n{}",
        living(),
        zombies_of(server.pid()).len(),
        server.stderr()
    );
}

/// Makes about `total` requests, `clients` at once.
#[track_caller]
fn ask_at_once(server: &Running, kind: Kind, clients: usize, total: u64) -> Report {
    let load = Load { addr: server.addr(), clients, kind }.start();
    let done = try_eventually(SOON, || (load.answered() >= total).then_some(()));
    assert!(
        done.is_some(),
        "{clients} clients ask at once ({kind:?}), and each answer crashes a worker. In {SOON:?} only {} of \
         {total} requests were answered. Who accepts while a worker is being replaced? And what does a \
         worker that drains do for those whom it has accepted?\n{}",
        load.answered(),
        last_lines(&server.stderr())
    );
    load.stop()
}

/// Two loads: with a connection for each request, and with connections that stay.
fn both_loads(server: &Running) -> [testkit::load::Background; 2] {
    [Kind::HttpClose, Kind::HttpKeepAlive]
        .map(|kind| Load { addr: server.addr(), clients: 3, kind }.start())
}

#[track_caller]
fn nothing_is_lost(report: &Report, hint: &str) {
    assert!(
        report.lost_count == 0 && report.refused == 0 && report.answered > 0,
        "no request may be lost. {hint}\n{report}"
    );
}

/// The end of what was printed: a crash prints a line, and there are many crashes.
fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// Hits a random worker every 100 ms, for a while.
fn torment(server: &Running, mut hit: impl FnMut(Process)) {
    // Knuth's linear congruential generator: the same numbers in every run.
    let mut dice = 2026_u64;
    let end = Instant::now() + TORMENT;
    while Instant::now() < end {
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let workers = server.children();
        if !workers.is_empty() {
            hit(workers[(dice >> 33) as usize % workers.len()]);
        }
        sleep(Duration::from_millis(100));
    }
}

#[test]
fn each_answer_crashes_a_worker_and_all_are_answered_in_turn_and_ten_at_once() {
    let server = server(3, 1);
    let before = fds(server.pid()).len();
    let mut answered = BTreeSet::new();
    for number in 1..=100 {
        let answer = http::get(server.addr()).unwrap_or_else(|error| {
            panic!(
                "request {number} of 100, one after another, has no answer ({error}). Each answer \
                 crashes a worker, and another should take its place, without a pause: the first was \
                 ready (`Event::Acked`). Who accepts meanwhile?\n{}",
                last_lines(&server.stderr())
            )
        });
        let pid = pid_in(&answer.body);
        assert!(
            pid.is_some_and(|pid| answered.insert(pid)),
            "request {number} was answered by {pid:?}, which had answered before, and should drain \
             since: it accepts nobody new. What does your worker do when a step says `Failed`?"
        );
    }
    for kind in [Kind::HttpClose, Kind::HttpKeepAlive] {
        let report = ask_at_once(&server, kind, 10, 100);
        nothing_is_lost(
            &report,
            "Ten clients ask at once, and each answer crashes a worker, which has other clients too. \
             What has it to do before it ends, and who accepts whom it does not?",
        );
        assert!(
            report.by_pid.len() >= 10,
            "ten clients ask at once. A worker crashes after its first answer; it answers those whom it \
             has accepted by then, and nobody else, and each of these gets its `last` answer. Here {} \
             workers gave {} answers. Which of them accept, and which answers are the last?",
            report.by_pid.len(),
            report.answered
        );
    }
    wait_until_full(&server, 3, &answered, "after all these crashes");
    let freed =
        try_eventually(SOON, || (fds(server.pid()).len() <= before).then_some(()));
    assert!(
        freed.is_some(),
        "more than a hundred workers have come and gone. The master had {before} descriptors before, now it has \
         {}. What does it keep of the dead?",
        fds(server.pid()).len()
    );
}

#[test]
fn a_worker_that_has_crashed_is_replaced_before_it_ends() {
    let server = server(1, 1);
    let (mut client, old) = half_a_request(&server);
    let answer = http::get(server.addr());
    assert!(
        answer.is_ok(),
        "a second client has no answer, while another is slow: {answer:?}"
    );
    let began = Instant::now();
    let answer = http::get(server.addr());
    let (by, took) =
        (answer.as_ref().ok().and_then(|it| pid_in(&it.body)), began.elapsed());
    assert!(
        by.is_some() && by != Some(old.pid) && took < Duration::from_millis(2500),
        "the only worker ({}) has crashed, and drains: a client has sent half a request. Another should \
         be there at once, and answer the next client. That was answered by {by:?}, after {took:?} \
         ({answer:?}). When is a worker replaced: when it ends, or when it says that it will?",
        old.pid
    );
    let answer =
        client.send_raw(&REQUEST[HALF..]).and_then(|()| client.read_response());
    let by = answer.as_ref().ok().and_then(|it| pid_in(&it.body));
    assert_eq!(
        by,
        Some(old.pid),
        "a client had sent half a request when its worker crashed, and sends the rest now. That worker \
         has accepted it, so it owes an answer; it is {answer:?}. When may a worker end?"
    );
    drop(client);
    let ended = try_eventually(SOON, || (!old.alive()).then_some(()));
    assert!(
        ended.is_some(),
        "worker {} has answered all, and lives. What is it waiting for?",
        old.pid
    );
    // Two answers, and the two that gave them are replaced by now.
    let gone = by.into_iter().collect();
    wait_until_full(&server, 1, &gone, "after two crashes");
}

#[test]
fn after_kill_9_of_all_workers_the_next_request_is_answered_and_all_are_back() {
    let server = server(3, 0);
    let mut gone = BTreeSet::new();
    for round in 1..=3 {
        for victim in server.children() {
            gone.insert(victim.pid);
            victim.signal(Signal::SIGKILL);
        }
        let answer = http::get(server.addr());
        assert!(
            answer.is_ok(),
            "all workers were killed (round {round}), and the next request has no answer: {answer:?}. A \
             worker that is killed says nothing. Who tells the master? And who holds the listener, so \
             that a client can wait in it?\n{}",
            server.stderr()
        );
        wait_until_full(&server, 3, &gone, "after kill -9 of all workers");
    }
}

#[test]
fn sigterm_to_random_workers_under_load_loses_nothing() {
    let server = server(3, 50);
    let loads = both_loads(&server);
    let mut hits = 0;
    torment(&server, |victim| hits += u32::from(victim.signal(Signal::SIGTERM)));
    for report in loads.map(|load| load.stop()) {
        nothing_is_lost(
            &report,
            &format!(
                "Workers were sent SIGTERM, {hits} times. It asks a worker to drain: what has it \
                 accepted, and what has it not? Does it wait until its clients have all they asked for?"
            ),
        );
    }
    enough_were_hit(hits);
    wait_until_full(&server, 3, &BTreeSet::new(), "after SIGTERM to many workers");
}

#[test]
fn sigkill_to_random_workers_under_load_loses_what_they_held_and_nothing_else() {
    let server = server(3, 50);
    let idle =
        server.children().iter().map(|it| fds(it.pid).len()).min().unwrap_or(0);
    let loads = both_loads(&server);
    let (mut held, mut kills) = (0, 0);
    torment(&server, |victim| {
        // While it is stopped it accepts nobody: what it holds now is what its death can cost.
        victim.signal(Signal::SIGSTOP);
        let stopped = || !victim.alive() || is_stopped(victim.pid);
        let _ = try_eventually(SOON, || stopped().then_some(()));
        held += fds(victim.pid).len().saturating_sub(idle) as u64;
        kills += u32::from(victim.signal(Signal::SIGKILL));
    });
    let [closing, keeping] = loads.map(|load| load.stop());
    let (lost, refused) = (
        closing.lost_count + keeping.lost_count,
        closing.refused + keeping.refused,
    );
    enough_were_hit(kills);
    assert!(
        lost <= held && refused == 0,
        "{kills} workers were killed, which held {held} connections then: so many requests may be lost. \
         {lost} were, and {refused} were refused. Who else had accepted a client, or had closed the \
         listener?\n{closing}\n{keeping}"
    );
    wait_until_full(&server, 3, &BTreeSet::new(), "after kill -9 of many workers");
}

#[track_caller]
fn enough_were_hit(hits: u32) {
    assert!(
        hits > 5,
        "in {TORMENT:?} there were only {hits} workers to be hit, one every 100 ms. A worker that was \
         ready is replaced without a pause. When is it ready (`Event::Acked`)?"
    );
}

fn is_stopped(pid: i32) -> bool {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && line.contains('T'))
}

/// A client that has sent the first [`HALF`] bytes of a request, and the worker that has accepted it.
#[track_caller]
fn half_a_request(server: &Running) -> (Client, Process) {
    let mut client = Client::connect(server.addr()).expect("somebody listens");
    client.send_raw(&REQUEST[..HALF]).expect("to send");
    let ours = client.stream().local_addr().expect("our own address").port();
    let holder = || {
        let socket = sockets(server.port())
            .into_iter()
            .find(|it| it.remote == ours && it.accepted)?;
        let has_it =
            |it: &Process| fds(it.pid).iter().any(|(_, fd)| *fd == socket.name);
        server.children().into_iter().find(has_it)
    };
    let Some(worker) = try_eventually(SOON, holder) else {
        panic!(
            "a client has connected, and no worker accepts it\n{}",
            server.stderr()
        )
    };
    (client, worker)
}

/// Blocks until all of them have gone, and the port is free.
#[track_caller]
fn nobody_is_left(family: &[Process], port: u16, within: Duration, hint: &str) {
    let free = || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let over = || (family.iter().all(|it| !it.alive()) && free()).then_some(());
    let over = try_eventually(within, over);
    let left =
        family.iter().filter(|it| it.alive()).map(|it| it.pid).collect::<Vec<_>>();
    assert!(
        over.is_some(),
        "after {within:?} nobody should be left, and port {port} should be free. {left:?} live, and the \
         port is {}. {hint}",
        if free() { "free" } else { "taken" }
    );
}

#[test]
fn sigterm_to_the_master_ends_all_but_not_before_who_was_in_is_answered() {
    let server = server(3, 0);
    let (port, family) = (server.port(), server.processes());
    let (mut client, _) = half_a_request(&server);
    server.signal(Signal::SIGTERM);
    // The idle workers end, the other one does not.
    let few = try_eventually(SOON, || (server.children().len() <= 1).then_some(()));
    assert!(
        few.is_some(),
        "SIGTERM was sent to the master. Two of three workers have nothing to do, and end; but {} live. \
         Are they told? Are they replaced?\n{}",
        server.children().len(),
        server.stderr()
    );
    let early = server.try_wait();
    assert!(
        early.is_none(),
        "SIGTERM was sent to the master. One of its workers has a client that has sent half a request, \
         and drains; the master has ended already ({early:?}). Whoever waits for the master thinks that \
         all is over. Who ends before whom?"
    );
    let answer =
        client.send_raw(&REQUEST[HALF..]).and_then(|()| client.read_response());
    assert!(
        answer.is_ok(),
        "SIGTERM was sent to the master while a client had sent half a request. It has sent the rest, \
         and should be answered; it got {answer:?}. Who ends before whom?"
    );
    drop(client);
    let status = try_eventually(SOON, || server.try_wait());
    assert_eq!(
        status.and_then(|status| status.code()),
        Some(0),
        "when the last worker has ended, the master exits with 0; but its end is {status:?}. What does \
         it wait for?\n{}",
        server.stderr()
    );
    nobody_is_left(
        &family,
        port,
        Duration::from_secs(2),
        "The master has ended before them. Why?",
    );
}

#[test]
fn kill_9_of_the_master_leaves_nobody_behind() {
    let server = server(3, 0);
    let (port, family) = (server.port(), server.processes());
    // One that will never be finished.
    let _client = half_a_request(&server);
    server.signal(Signal::SIGKILL);
    nobody_is_left(
        &family,
        port,
        Duration::from_secs(6),
        "The master was killed, and could tell nobody. How does a worker notice, and how long may it \
         take then? (`LIMIT`)",
    );
}

#[test]
fn sigterm_to_the_master_ends_workers_that_ignore_it() {
    let script = "trap '' TERM; echo deaf; exec sleep 60";
    let deaf = ["--port", "0", "--workers", "2", "--exec", "sh", "-c", script];
    let server = exercise!().args(deaf).start();
    let both = try_eventually(SOON, || {
        (server.stdout().matches("deaf\n").count() == 2).then_some(())
    });
    assert!(both.is_some(), "2 workers should be started\n{}", server.stderr());
    let (port, family) = (server.port(), server.processes());
    // What Ctrl-C sends: it should end them as SIGTERM does.
    server.signal(Signal::SIGINT);
    let began = Instant::now();
    let status = try_eventually(SOON, || server.try_wait());
    assert_eq!(
        status.and_then(|status| status.code()),
        Some(0),
        "SIGINT was sent to the master, and two workers ignore the SIGTERM that it should send them. 4 s \
         later (`STOP_LIMIT`) they are to be killed, and then the master exits with 0; after {:.1?} its \
         end is {status:?}. Which signal cannot be ignored? (If that is less than 4 s, the time for all \
         tests was over.)\n{}",
        began.elapsed(),
        server.stderr()
    );
    nobody_is_left(
        &family,
        port,
        Duration::from_secs(2),
        "The master has ended before them. Why?",
    );
}

#[test]
fn nobody_spins() {
    let server = server(2, 0);
    let everybody = || {
        let times = server
            .processes()
            .iter()
            .map(|it| cpu_time(it.pid))
            .collect::<Vec<_>>();
        times.into_iter().sum::<Duration>()
    };
    let _client = half_a_request(&server);
    let before = everybody();
    sleep(Duration::from_millis(500));
    let used = everybody().saturating_sub(before);
    assert!(
        used < Duration::from_millis(250),
        "one client has sent half a request, and nothing happens. In half a second master and workers \
         have used {used:?} of processor time. What do they wait for that is there already?"
    );

    let script = ["sh", "-c", "echo started; exit 3"];
    let failing = exercise!()
        .args(["--port", "0", "--workers", "2", "--exec"])
        .args(script)
        .start();
    let starts = || failing.stdout().matches("started\n").count();
    let enough = try_eventually(SOON, || (starts() >= 6).then_some(()));
    assert!(
        enough.is_some(),
        "each worker ends before it is ready. After a pause the next ones are tried; yours has tried {} \
         in {SOON:?}, and 6 are expected in 300 ms. Which events does such a worker have?\n{}",
        starts(),
        failing.stderr()
    );
    sleep(Duration::from_millis(300));
    assert!(
        starts() <= 16,
        "each worker ends before it is ready. The pauses are 100, 200, 400 ms and so on, with two starts \
         after each; yours has started {} by now. When is a worker replaced at once?",
        starts()
    );
}
