//! How your policy has to spread connections. `cargo test -p ex21-accept-balance`

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::thread;
use std::time::{Duration, Instant};

use testkit::http::Client;
use testkit::{
    Output, Running, Signal, exercise, pid_in, temp_dir, try_eventually,
};

/// How long we wait for what should happen at once. Long, because the machine may be busy.
const SOON: Duration = Duration::from_secs(8);

/// How many connections a worker may have more than another: several workers may look at
/// the table at the same moment.
const FEW: usize = 8;

/// Runs your program with this script on its standard input, to its end.
#[track_caller]
fn run(script: &str) -> Output {
    let dir = temp_dir();
    let file = File::open(dir.write("script", script)).expect("the script");
    exercise!().arg("script").stdin(file).output()
}

/// Plays a script. Each question has its answer behind `=>`: `accept` or `leave`.
#[track_caller]
fn plays(script: &str, hint: &str) {
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let asked: Vec<&str> =
        lines.iter().map(|it| it.split(" => ").next().unwrap_or(it)).collect();
    let output = run(&asked.join("\n"));
    let mut said = output.stdout.lines();
    let mut story = String::new();
    for (line, asked) in lines.iter().zip(asked) {
        let _ = writeln!(story, "{asked}");
        let Some((_, right)) = line.split_once(" => ") else { continue };
        let says = said.next().unwrap_or("(nothing)");
        let _ = writeln!(story, "  {says}");
        assert!(
            says.split(' ').next() == Some(right),
            "the last answer should be: {right}\n{story}\n{hint}\n{}",
            output.stderr
        );
        let time = says.split(' ').nth(2).and_then(|it| it.parse::<u64>().ok());
        assert!(
            right == "accept"
                || time.is_some_and(|it| (1_000..=10_000).contains(&it)),
            "{says}: look again after 1 to 10 ms. Sooner, the worker does nothing but look; later, \
             the client waits for it.\n{story}"
        );
    }
}

#[test]
fn the_worker_with_the_fewest_accepts() {
    plays(
        "table 3
         start 0
         start 1
         start 2
         open 0 5
         open 1 3
         open 2 4
         decide 0 0 => leave
         decide 1 0 => accept
         decide 2 0 => leave
         open 1 1
         decide 1 0 => accept
         decide 2 0 => accept
         open 1 1
         decide 1 0 => leave
         decide 2 0 => accept
         close 0 3
         decide 0 0 => accept
         decide 2 0 => leave",
        "A worker accepts if no other one has fewer. With equal numbers, each of them may: the faster \
         one gets the connection.",
    );
}

#[test]
fn a_worker_that_does_not_run_has_no_number() {
    plays(
        "table 3
         start 0
         open 0 7
         decide 0 0 => accept
         start 1
         decide 0 0 => leave
         decide 1 0 => accept
         exit 1
         decide 0 0 => accept",
        "Workers 1 and 2 do not run. If they count as workers without connections, every connection \
         is left to them.",
    );
}

#[test]
fn a_new_worker_begins_with_nothing() {
    plays(
        "table 2
         start 0
         start 1
         open 0 5
         open 1 9
         decide 0 0 => accept
         exit 1
         start 1
         decide 0 0 => leave
         decide 1 0 => accept
         open 1 6
         decide 0 0 => accept
         decide 1 0 => leave",
        "Worker 1 exited with nine connections open, and nothing has closed them one by one. The new \
         worker 1 has none.",
    );
}

#[test]
fn no_connection_is_left_for_long() {
    plays(
        "table 2
         start 0
         start 1
         open 0 3
         decide 0 0 => leave
         decide 0 10 => leave
         decide 0 49 => leave
         decide 0 50 => accept
         decide 0 1000 => accept
         decide 0 0 => leave",
        "If no worker has accepted for PATIENCE, the one with the fewest is stopped, or busy.",
    );
}

/// A program with so many workers, all of which have started.
#[track_caller]
fn start(workers: usize) -> Running {
    let server = exercise!()
        .args(["--port", "0", "--workers", &workers.to_string()])
        .start();
    server.addr();
    let all = || (server.children().len() == workers).then_some(());
    let run = server.try_while_it_runs(SOON, all);
    assert!(run.is_some(), "not all workers run\n{}", server.describe());
    // A worker counts from the moment in which it has started.
    thread::sleep(Duration::from_millis(20));
    server
}

/// A connection that stays open, and the process that serves it.
#[track_caller]
fn connect(server: &Running) -> (Client, i32) {
    let mut client = Client::connect(server.addr()).expect("to connect");
    let response = client.get("/").unwrap_or_else(|error| {
        panic!("a client was not answered: {error}\n{}", server.describe())
    });
    let pid = pid_in(&response.body).expect("a process id");
    (client, pid)
}

/// How many connections each worker has, from the least to the most.
fn counts(server: &Running, connections: &[(Client, i32)]) -> Vec<usize> {
    let mut counts: HashMap<i32, usize> =
        server.children().into_iter().map(|it| (it.pid, 0)).collect();
    for (_, pid) in connections {
        *counts.entry(*pid).or_default() += 1;
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable();
    counts
}

#[track_caller]
fn assert_even(server: &Running, connections: &[(Client, i32)], hint: &str) {
    let counts = counts(server, connections);
    assert!(
        counts[counts.len() - 1] - counts[0] <= FEW,
        "the workers have {counts:?} connections: more than {FEW} apart\n{hint}"
    );
}

#[test]
fn long_connections_are_spread_evenly() {
    let server = start(4);
    let mut connections = Vec::new();
    for _ in 0..200 {
        connections.push(connect(&server));
    }
    assert_even(&server, &connections, "They came one after another.");
    // Many at the same time.
    thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..25).map(|_| connect(&server)).collect()))
            .collect();
        for client in clients {
            let mut some: Vec<_> = client.join().expect("a client");
            connections.append(&mut some);
        }
    });
    assert_even(&server, &connections, "Then 200 came from eight clients at once.");
}

#[test]
fn what_ends_is_counted_and_new_connections_go_there() {
    let server = start(3);
    let mut connections: Vec<_> = (0..90).map(|_| connect(&server)).collect();
    let (_, one) = connections[0];
    let before = connections.len();
    connections.retain(|(_, pid)| *pid != one);
    let ended = before - connections.len();
    // The worker reads the end of each.
    thread::sleep(Duration::from_millis(50));
    for _ in 0..ended {
        connections.push(connect(&server));
    }
    assert_even(
        &server,
        &connections,
        "All connections of one worker were closed, and as many came again. Is a closed one counted?",
    );
}

#[test]
fn a_killed_worker_leaves_no_count_behind() {
    let server = start(3);
    let mut connections: Vec<_> = (0..90).map(|_| connect(&server)).collect();
    let victim = server.children()[1];
    victim.signal(Signal::SIGKILL);
    connections.retain(|(_, pid)| *pid != victim.pid);
    let replaced = try_eventually(SOON, || {
        let pids = server.children();
        (pids.len() == 3 && !pids.contains(&victim)).then_some(())
    });
    assert!(
        replaced.is_some(),
        "a killed worker is replaced\n{}",
        server.describe()
    );
    thread::sleep(Duration::from_millis(20));
    for _ in 0..30 {
        connections.push(connect(&server));
    }
    assert_even(
        &server,
        &connections,
        "A worker was killed with its connections open. Its successor has none.",
    );
}

#[test]
fn a_stopped_worker_does_not_keep_the_others_from_accepting() {
    let server = start(2);
    let mut connections: Vec<_> = (0..40).map(|_| connect(&server)).collect();
    let victim = server.children()[0];
    connections.retain(|(_, pid)| *pid != victim.pid);
    thread::sleep(Duration::from_millis(50));
    victim.signal(Signal::SIGSTOP);
    // It has the fewest, and cannot accept.
    let began = Instant::now();
    let answered: Vec<i32> = (0..5).map(|_| connect(&server).1).collect();
    let took = began.elapsed();
    victim.signal(Signal::SIGCONT);
    assert!(
        !answered.contains(&victim.pid) && took < Duration::from_secs(2),
        "one of two workers is stopped: five clients were answered after {took:?}.\nEach should wait \
         for little more than PATIENCE."
    );
}

#[test]
fn workers_with_equal_numbers_accept_at_once() {
    let server = start(1);
    let began = Instant::now();
    let connections: Vec<_> = (0..40).map(|_| connect(&server)).collect();
    let alone = began.elapsed();
    drop((connections, server));
    let server = start(4);
    let began = Instant::now();
    let _connections: Vec<_> = (0..40).map(|_| connect(&server)).collect();
    let four = began.elapsed();
    assert!(
        alone < Duration::from_secs(1) && four < Duration::from_secs(1),
        "40 clients, one after another, were answered in {alone:?} by one worker, and in {four:?} by \
         four.\nIf workers have equal numbers, does each leave the connection to the others?"
    );
}
