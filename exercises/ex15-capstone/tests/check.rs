//! What your server has to do. `cargo test -p ex15-capstone`

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use testkit::http::{self, Client, Response, in_words};
use testkit::load::{Background, Kind, Load, Report};
use testkit::{
    Process, Running, Signal, cpu_time, exercise, fds, pid_in, try_eventually,
    zombies_of,
};

/// How long we wait for what should happen at once. Long, because the machine may
/// be busy.
const SOON: Duration = Duration::from_secs(8);

/// A pause, or a limit, that no test sees the end of.
const FOR_EVER: &str = "600000";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// The first so many bytes of it are half a request.
const HALF: usize = 9;

/// How often a worker is hit under load.
const HITS: u32 = 10;

/// Starts your server, and returns once each worker has the listener.
#[track_caller]
fn server(args: &[&str]) -> Running {
    let server = exercise!().args(["--port", "0"]).args(args).start();
    // Until it is printed, there is no listener.
    server.port();
    let workers = args.windows(2).find(|pair| pair[0] == "--workers");
    let workers: usize =
        workers.expect("a number of workers")[1].parse().expect("it");
    let full = || {
        let has_it = listening_processes(&server, listener_of(&server).as_ref());
        let children = server.children();
        let all_have_it = children.iter().all(|it| has_it.contains(&it.pid));
        (children.len() == workers && all_have_it).then_some(())
    };
    assert!(
        try_eventually(SOON, full).is_some(),
        "{workers} workers should be started, and each should get the listener. {SOON:?} later \
         these children of the master run: {:?}, and these processes have the listener ({}) \
         open: {:?}. Which function sends it, and which receives it? (Too many workers: do you \
         count those that are starting?)\n{}",
        pids(&server.children()),
        listener_of(&server).as_deref().unwrap_or("the master has none"),
        listening_processes(&server, listener_of(&server).as_ref()),
        server.describe()
    );
    server
}

fn pids(processes: &[Process]) -> Vec<i32> {
    processes.iter().map(|it| it.pid).collect()
}

/// The TCP sockets that this process has open, by their names in `/proc/PID/fd`:
/// all its sockets that are not in `/proc/net/unix` (proc_net(5)). The table of TCP
/// sockets can have many thousands of lines.
fn tcp_sockets(pid: i32) -> BTreeSet<String> {
    // Before and after: one of these Unix sockets may be opened or closed just now.
    let before = unix_sockets();
    let open = fds(pid).into_iter().map(|(_, name)| name);
    let open: BTreeSet<String> =
        open.filter(|name| name.starts_with("socket:")).collect();
    &(&open - &before) - &unix_sockets()
}

fn unix_sockets() -> BTreeSet<String> {
    let table = fs::read_to_string("/proc/net/unix").expect("/proc is needed");
    let name =
        |line: &str| Some(format!("socket:[{}]", line.split_whitespace().nth(6)?));
    table.lines().filter_map(name).collect()
}

/// The master's listener: its only TCP socket.
fn listener_of(server: &Running) -> Option<String> {
    tcp_sockets(server.pid()).pop_first()
}

/// The master's listener, which it must have.
#[track_caller]
fn must_listen(server: &Running) -> String {
    listener_of(server).unwrap_or_else(|| {
        panic!(
            "the master should have a listener open, and has none. Who keeps the listener, once \
             all workers have a copy?\n{}",
            server.describe()
        )
    })
}

/// Connects, and sends these bytes.
#[track_caller]
fn connect(server: &Running, bytes: &[u8]) -> Client {
    let connected = Client::connect(server.addr())
        .and_then(|mut client| client.send_raw(bytes).map(|()| client));
    connected.unwrap_or_else(|error| {
        panic!(
            "a client cannot connect: {error}. Which process has the listener open?\n{}",
            server.describe()
        )
    })
}

/// The processes of the server that have the listener open.
fn listening_processes(server: &Running, listener: Option<&String>) -> Vec<i32> {
    let has_it = |it: &Process| {
        listener.is_some_and(|name| tcp_sockets(it.pid).contains(name))
    };
    pids(&server.processes().into_iter().filter(has_it).collect::<Vec<_>>())
}

/// The connections that this worker has accepted and not closed.
fn connections_of(worker: Process, listener: &str) -> BTreeSet<String> {
    let mut sockets = tcp_sockets(worker.pid);
    sockets.remove(listener);
    sockets
}

/// Blocks until so many workers live, none of them in `gone`, and no zombie is
/// left.
#[track_caller]
fn wait_until_full(server: &Running, workers: usize, gone: &[i32], when: &str) {
    let full = || {
        let living = pids(&server.children());
        living.len() == workers
            && !living.iter().any(|pid| gone.contains(pid))
            && zombies_of(server.pid()).is_empty()
    };
    let over = || (full() || server.try_wait().is_some()).then_some(());
    let _ = try_eventually(SOON, over);
    assert!(
        full(),
        "{when}: {workers} workers should run, no other child, and no zombie. {SOON:?} later, \
         {:?} run, and {} zombies are left; {gone:?} should have exited. Too few: which event \
         tells that a worker is missing? Too many: is a worker replaced when it says \
         `suicide`, and again when it exits?\n{}",
        pids(&server.children()),
        zombies_of(server.pid()).len(),
        server.describe()
    );
}

/// One request on a connection of its own, which must be answered: by which worker.
#[track_caller]
fn ask(server: &Running, hint: &str) -> i32 {
    let began = Instant::now();
    let response = http::get(server.addr());
    let pid = response.as_ref().ok().and_then(|it| pid_in(&it.body));
    pid.unwrap_or_else(|| {
        panic!(
            "{hint}\nThe client got {}, after {:.1?} (it waits for 10 s at most).\n{}",
            in_words(&response),
            began.elapsed(),
            server.describe()
        )
    })
}

#[track_caller]
fn assert_nothing_is_lost(report: &Report, hint: &str) {
    assert!(
        report.lost_count == 0 && report.refused == 0 && report.answered > 0,
        "no request may be lost. {hint}\n{report}"
    );
}

/// A client that has sent half a request, and the worker that has accepted its
/// connection. No other client connects in the meantime.
#[track_caller]
fn half_a_request(server: &Running) -> (Client, Process) {
    let listener = must_listen(server);
    let connections = |it: Process| connections_of(it, &listener).len();
    let workers = server.children().into_iter();
    let before: Vec<_> = workers.map(|it| (it, connections(it))).collect();
    let client = connect(server, &REQUEST[..HALF]);
    let holder = || {
        let has_one_more =
            |(worker, count): &&(Process, usize)| connections(*worker) > *count;
        before.iter().find(has_one_more).map(|(worker, _)| *worker)
    };
    let Some(worker) = try_eventually(SOON, holder) else {
        panic!(
            "a client has connected, and no worker has accepted it in {SOON:?}\n{}",
            server.describe()
        )
    };
    (client, worker)
}

fn is_last(response: &Response) -> bool {
    response.header("Connection").is_some_and(|it| it.eq_ignore_ascii_case("close"))
}

/// Sends the rest of a request, or another one, to `worker`, which drains.
#[track_caller]
fn finish(client: &mut Client, rest: &[u8], worker: i32, story: &str) {
    let response = client.send_raw(rest).and_then(|()| client.read_response());
    let by = response.as_ref().ok().and_then(|it| pid_in(&it.body));
    assert!(
        by == Some(worker),
        "{story}. The worker that had accepted it (process {worker}) should answer; but the client \
         got {}. When may a worker exit?",
        in_words(&response)
    );
    assert!(
        response.as_ref().is_ok_and(is_last),
        "{story}. It was answered, but without `Connection: close`: so the client sends its \
         next request to a worker that is about to exit. What do you pass to `step` during a \
         drain? The client got {}",
        in_words(&response)
    );
}

#[test]
fn each_response_crashes_a_worker_and_no_request_is_lost() {
    let server = server(&["--workers", "3"]);
    let before = fds(server.pid()).len();
    let mut answered: BTreeMap<i32, u32> = BTreeMap::new();
    for number in 1..=30 {
        let hint = "Clients ask one after another, and each response crashes a worker. The \
                    replacement starts at once, and until then clients wait in the backlog. \
                    Who accepts?";
        let pid = ask(&server, hint);
        if let Some(earlier) = answered.insert(pid, number) {
            panic!(
                "request {number} was answered by worker {pid}, which had answered request \
                 {earlier}. It had failed after that response, so it should drain since then: \
                 it accepts no connection. What does your worker do when a step says `Failed`?"
            );
        }
    }
    for kind in [Kind::HttpClose, Kind::HttpKeepAlive] {
        let load = Load { addr: server.addr(), clients: 10, kind }.start();
        let began = Instant::now();
        let done = try_eventually(SOON, || (load.answered() >= 60).then_some(()));
        assert!(
            done.is_some(),
            "ten clients ask at once ({}), and each worker crashes after its first \
             response. In {:.1?} ({SOON:?}, or longer if the machine is busy) {} of 60 requests were answered. Who \
             accepts while a worker is being replaced? And does a worker that drains answer \
             all that it has accepted?\n{}",
            match kind {
                Kind::HttpKeepAlive => "each keeps its connection",
                _ => "on a new connection for each request",
            },
            began.elapsed(),
            load.answered(),
            server.describe()
        );
        assert_nothing_is_lost(
            &load.stop(),
            "Ten clients ask at once, and each worker crashes after its first response. What \
             must it still do before it exits? And who accepts the connections that it does \
             not accept?",
        );
    }
    let gone: Vec<i32> = answered.into_keys().collect();
    wait_until_full(&server, 3, &gone, "after all these crashes");
    let freed = || (fds(server.pid()).len() <= before).then_some(());
    assert!(
        try_eventually(SOON, freed).is_some(),
        "many workers have crashed, and all have exited. The master had {before} descriptors \
         open before; now, {SOON:?} later, it has {}. What does it keep of a worker that has \
         exited?",
        fds(server.pid()).len()
    );
}

#[test]
fn a_worker_that_has_crashed_is_replaced_before_it_exits() {
    let args = ["--workers", "1", "--limit", FOR_EVER, "--pause", FOR_EVER];
    let server = server(&[&args[..], &["--longest", FOR_EVER]].concat());
    let (mut slow, old) = half_a_request(&server);
    let mut kept = connect(&server, b"");
    let first = kept.get("/");
    let by = first.as_ref().ok().and_then(|it| pid_in(&it.body));
    assert!(
        by == Some(old.pid),
        "the only worker (process {}) has a client that has sent half a request. A second \
         client has sent a whole one, and should be answered; it got {}\n{}",
        old.pid,
        in_words(&first),
        server.describe()
    );
    let hint = format!(
        "The only worker ({}) has crashed and drains: it has open connections, and its limit \
         is 10 minutes. A new client should be answered, by a replacement that starts at once. \
         When is a worker replaced: when it exits, or when it says that it drains? And a pause \
         of 10 minutes follows a worker that was never ready: when is a worker ready \
         (`Event::Acked`)?",
        old.pid
    );
    for _ in 0..2 {
        let by = ask(&server, &hint);
        assert_ne!(
            by, old.pid,
            "worker {by} has crashed, and accepts all the same"
        );
    }
    let story = "a client was answered, and its worker crashed. It keeps its connection, and \
                 has asked once more";
    finish(&mut kept, REQUEST, old.pid, story);
    let story = "a client had sent half a request when its worker crashed, and has sent the rest now";
    finish(&mut slow, &REQUEST[HALF..], old.pid, story);
    drop((slow, kept));
    let exited = try_eventually(SOON, || (!old.alive()).then_some(()));
    assert!(
        exited.is_some(),
        "worker {} drains, and its clients have closed their connections. {SOON:?} later it \
         still runs. What does it wait for?",
        old.pid
    );
    wait_until_full(&server, 1, &[old.pid], "after three crashes");
}

#[test]
fn after_kill_9_of_all_workers_the_next_request_is_answered() {
    let server = server(&["--workers", "3", "--crash-after", "0"]);
    let mut gone = Vec::new();
    for _ in 0..2 {
        for victim in server.children() {
            gone.push(victim.pid);
            victim.signal(Signal::SIGKILL);
        }
        let hint = "All workers were killed, and a client has sent a request. A worker that is \
                    killed says nothing: which event tells the master? And which process has \
                    the listener open, so that the client can wait in its backlog?";
        ask(&server, hint);
        wait_until_full(&server, 3, &gone, "after kill -9 of all workers");
    }
}

/// Two loads: a connection for each request, and connections that are kept.
fn both_loads(server: &Running) -> [Background; 2] {
    [Kind::HttpClose, Kind::HttpKeepAlive]
        .map(|kind| Load { addr: server.addr(), clients: 2, kind }.start())
}

/// Hits a random worker, again and again.
#[track_caller]
fn hit_workers(server: &Running, mut hit: impl FnMut(Process)) {
    // Knuth's linear congruential generator: the same numbers in each run.
    let mut dice = 2026_u64;
    for number in 1..=HITS {
        sleep(Duration::from_millis(60));
        dice = dice
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let workers = || Some(server.children()).filter(|it| !it.is_empty());
        let Some(workers) = try_eventually(SOON, workers) else {
            panic!(
                "{number} workers were sent a signal, one after another, and now no worker \
                 runs, for {SOON:?}. When is a worker replaced at once?\n{}",
                server.describe()
            )
        };
        hit(workers[(dice >> 33) as usize % workers.len()]);
    }
}

#[test]
fn sigterm_to_random_workers_under_load_loses_nothing() {
    let server = server(&["--workers", "3", "--crash-after", "50"]);
    let loads = both_loads(&server);
    hit_workers(&server, |victim| {
        victim.signal(Signal::SIGTERM);
    });
    for report in loads.map(Background::stop) {
        assert_nothing_is_lost(
            &report,
            "Workers were sent SIGTERM under load. It asks a worker to drain: which \
             connections has it accepted, and does it wait until all of them have ended?",
        );
    }
    wait_until_full(&server, 3, &[], "after SIGTERM to many workers");
}

#[test]
fn sigkill_to_random_workers_under_load_loses_what_they_held_and_no_more() {
    let server = server(&["--workers", "3", "--crash-after", "50"]);
    let listener = must_listen(&server);
    let loads = both_loads(&server);
    let mut held = 0;
    hit_workers(&server, |victim| {
        // A process that is stopped accepts nothing: what it has now is what its
        // death can cost.
        victim.signal(Signal::SIGSTOP);
        let stopped = || (!victim.alive() || is_stopped(victim)).then_some(());
        let _ = try_eventually(SOON, stopped);
        held += connections_of(victim, &listener).len() as u64;
        victim.signal(Signal::SIGKILL);
    });
    let [closing, keeping] = loads.map(Background::stop);
    let lost = closing.lost_count + keeping.lost_count;
    let refused = closing.refused + keeping.refused;
    assert!(
        lost <= held && refused == 0,
        "{HITS} workers were killed, and had {held} connections open: so many requests may be \
         lost. But {lost} were lost, and {refused} were refused. Which other process had \
         accepted a connection, or had closed the listener?\n{closing}\n{keeping}"
    );
    wait_until_full(&server, 3, &[], "after kill -9 of many workers");
}

fn is_stopped(process: Process) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid));
    status
        .unwrap_or_default()
        .lines()
        .any(|line| line.starts_with("State:") && line.contains('T'))
}

/// Blocks until none of these processes runs, and the port is free.
#[track_caller]
fn assert_nothing_is_left(family: &[Process], port: u16, hint: &str) {
    let free = || std::net::TcpListener::bind(("127.0.0.1", port)).is_ok();
    let living = || family.iter().filter(|it| it.alive()).map(|it| it.pid);
    let over = || (living().count() == 0 && free()).then_some(());
    assert!(
        try_eventually(SOON, over).is_some(),
        "{SOON:?} later no process should be left, and port {port} should be free. {:?} run, \
         and the port is {}. {hint}",
        living().collect::<Vec<_>>(),
        if free() { "free" } else { "taken" }
    );
}

/// Blocks until the master has exited, which should be soon and with 0.
#[track_caller]
fn assert_stops(server: &Running, story: &str, hint: &str) {
    let began = Instant::now();
    let status = try_eventually(SOON, || server.try_wait());
    let how = match status {
        Some(status) => format!("it has exited ({status})"),
        None => format!(
            "it runs {:.1?} later ({SOON:?}, or longer if the machine is busy)",
            began.elapsed()
        ),
    };
    assert!(
        status.is_some_and(|status| status.code() == Some(0)),
        "{story}. Then the master should exit with 0; but {how}. {hint}\n{}",
        server.describe()
    );
}

#[test]
fn sigterm_to_the_master_ends_the_server_after_the_last_response() {
    let args = ["--workers", "3", "--crash-after", "0", "--limit", FOR_EVER];
    let server = server(&args);
    let (port, family) = (server.port(), server.processes());
    let listener = listener_of(&server);
    let (mut client, worker) = half_a_request(&server);
    server.signal(Signal::SIGTERM);
    let few = || (server.children().len() <= 1).then_some(());
    assert!(
        try_eventually(SOON, few).is_some(),
        "SIGTERM was sent to the master. Two of three workers have no connection, and exit; \
         but {SOON:?} later {} workers run. Are they told? Are they replaced?\n{}",
        server.children().len(),
        server.describe()
    );
    let holders = || listening_processes(&server, listener.as_ref());
    let closed = || holders().is_empty().then_some(());
    assert!(
        try_eventually(SOON, closed).is_some(),
        "SIGTERM was sent to the master, so the server accepts no connection any more. A \
         client that connects now should be refused, and go elsewhere. But {SOON:?} later the \
         listener is still open, in {:?} (the master is {}, and worker {} drains): the client \
         would wait in its backlog, in vain. What closes it?",
        holders(),
        server.pid(),
        worker.pid
    );
    if let Some(early) = server.try_wait() {
        panic!(
            "SIGTERM was sent to the master. One of its workers drains, because a client has \
             sent half a request. The master has exited already ({early}): to the program that \
             started it, the server has ended. Which process exits last?"
        );
    }
    let story = "SIGTERM was sent to the master when a client had sent half a request, and it \
                 has sent the rest now";
    finish(&mut client, &REQUEST[HALF..], worker.pid, story);
    drop(client);
    assert_stops(
        &server,
        "SIGTERM was sent to the master, and the last worker has answered its last client",
        "What does it wait for?",
    );
    assert_nothing_is_left(
        &family,
        port,
        "The master has exited before them. Why?",
    );
}

#[test]
fn after_kill_9_of_the_master_its_workers_drain_and_exit() {
    let server =
        server(&["--workers", "2", "--crash-after", "0", "--limit", "3000"]);
    let (port, family) = (server.port(), server.processes());
    let listener = listener_of(&server);
    // This one is never finished.
    let _silent = half_a_request(&server);
    let (mut client, worker) = half_a_request(&server);
    server.signal(Signal::SIGKILL);
    let holders = || listening_processes(&server, listener.as_ref());
    let closed = || holders().is_empty().then_some(());
    assert!(
        try_eventually(SOON, closed).is_some(),
        "the master was killed, and could tell no worker. So its workers drain; but {SOON:?} \
         later a worker still has the listener open. What tells a worker that its parent has \
         exited?"
    );
    let story = "the master was killed when a client had sent half a request, and it has sent \
                 the rest now";
    finish(&mut client, &REQUEST[HALF..], worker.pid, story);
    drop(client);
    assert_nothing_is_left(
        &family,
        port,
        "The master was killed, and could tell no worker. How does a worker notice, and how \
         long may it drain? (`limit` is 3 s here.)",
    );
}

#[test]
fn workers_that_ignore_sigterm_are_killed() {
    let script = "trap '' TERM; echo deaf; exec sleep 60";
    let args = ["--port", "0", "--workers", "2", "--limit", "100"];
    let server =
        exercise!().args(args).args(["--exec", "sh", "-c", script]).start();
    let both = || (server.stdout().matches("deaf\n").count() == 2).then_some(());
    assert!(
        server.try_while_it_runs(SOON, both).is_some(),
        "2 workers should be started, and {SOON:?} later they are not\n{}",
        server.describe()
    );
    let (port, family) = (server.port(), server.processes());
    let began = Instant::now();
    // Ctrl-C sends this signal. It ends the server as SIGTERM does.
    server.signal(Signal::SIGINT);
    assert_stops(
        &server,
        "SIGINT was sent to the master, and its two workers ignore the SIGTERM that it sends \
         them. 1.1 s later (`stop_limit`) it kills them",
        "Which signal cannot be ignored, and what wakes the master when it is time to send it?",
    );
    let took = began.elapsed();
    assert!(
        took >= Duration::from_millis(1100),
        "SIGINT was sent to the master. Its two workers ignore SIGTERM and run until they are \
         killed, 1.1 s later (`stop_limit`); but the master has exited after {} ms. Does it \
         wait until all workers have exited?\n{}",
        took.as_millis(),
        server.describe()
    );
    assert_nothing_is_left(
        &family,
        port,
        "The master has exited before them. Why?",
    );
}

#[test]
fn sigterm_ends_the_master_in_a_pause_too() {
    let pause = ["--pause", FOR_EVER, "--longest", FOR_EVER];
    let server = exercise!()
        .args(["--port", "0", "--workers", "2"])
        .args(pause)
        .args(["--exec", "sh", "-c", "echo started; exit 3"])
        .start();
    let hint = "A worker is started at once.";
    server.wait_for_line_or("started", hint);
    sleep(Duration::from_millis(300));
    server.signal(Signal::SIGTERM);
    assert_stops(
        &server,
        "each worker exits before it is ready, so there is a pause of 10 minutes. SIGTERM was \
         sent to the master in this pause, and no worker runs",
        "What does the master wait in, during a pause?",
    );
}

#[test]
fn a_worker_that_was_never_ready_is_replaced_after_a_pause() {
    let failing = exercise!()
        .args(["--port", "0", "--workers", "2", "--exec"])
        .args(["sh", "-c", "echo started; exit 3"])
        .start();
    let starts = || failing.stdout().matches("started\n").count();
    let enough = || (starts() >= 6).then_some(());
    assert!(
        failing.try_while_it_runs(SOON, enough).is_some(),
        "each of 2 workers exits before it is ready, and after a pause the next two are \
         started. The pauses are 100, 200, 400 ms and so on, so 6 workers are started in the \
         first 300 ms; yours has started {} in {SOON:?}. Which events does such a worker have, \
         and what wakes the master after a pause?\n{}",
        starts(),
        failing.describe()
    );
    sleep(Duration::from_millis(300));
    assert!(
        starts() <= 16,
        "each of 2 workers exits before it is ready. The pauses are 100, 200, 400 ms and so \
         on, so at most 16 workers are started in the first 12 s; yours has started {}. When \
         is a worker replaced at once?",
        starts()
    );
}

#[test]
fn an_idle_server_uses_no_processor_time() {
    let server =
        server(&["--workers", "2", "--crash-after", "0", "--limit", FOR_EVER]);
    let (_client, worker) = half_a_request(&server);
    worker.signal(Signal::SIGTERM);
    wait_until_full(&server, 3, &[], "one of 2 workers drains, and is replaced");
    let used = || -> Duration {
        server.processes().iter().map(|it| cpu_time(it.pid)).sum()
    };
    // In the first of these times, the new worker may still load its program.
    let spins = (0..4).all(|_| {
        let before = used();
        sleep(Duration::from_millis(300));
        used() > before
    });
    assert!(
        !spins,
        "one of two workers drains: a client has sent half a request. Nothing happens, and the \
         server has used processor time in each of four times 300 ms. Which of the things that \
         master and workers wait for is ready all the time?"
    );
}
