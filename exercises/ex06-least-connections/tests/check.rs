//! What your program has to do. `cargo test -p ex06-least-connections`

use std::collections::HashMap;
use std::fmt::Debug;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use testkit::{
    Running, Signal, alive, eventually, exercise, temp_dir, try_eventually,
    zombies_of,
};

/// How long something may take that takes no time.
const SOON: Duration = Duration::from_secs(5);

/// Longer than any test.
const LONG: u32 = 600_000;

#[test]
fn whoever_has_the_fewest_is_picked() {
    for (loads, wanted) in
        [("3 1 2", "1"), ("0 1 1", "0"), ("7 7 3 4", "2"), ("5", "0")]
    {
        let picked = picks(&[loads]);
        assert_eq!(
            picked,
            [wanted],
            "the workers have {loads} connections, and your policy picks {}. Who has the fewest?",
            picked.concat()
        );
    }
}

#[test]
fn equals_take_turns() {
    let picked = picks(&["0 0 0"; 7]);
    assert_eq!(
        picked,
        ["0", "1", "2", "0", "1", "2", "0"],
        "three workers that all have the same, seven times. Your policy picks the left. Worker 0 has the \
         first turn. If it has every turn, it gets all connections of a quiet server. Who was picked last?"
    );
    let picked = picks(&["2 0 2", "1 1 1", "4 4 4", "1 9 1", "1 9 1", "1 9 1"]);
    assert_eq!(
        picked,
        ["1", "2", "0", "2", "0", "2"],
        "worker 1 has the fewest; then all are equal, twice; then 0 and 2 are, three times. Your policy \
         picks the left. Among equals it is the \
         first *behind* the one that was picked last, for whatever reason."
    );
}

#[test]
fn whoever_is_full_or_gone_is_passed_over() {
    let picked = picks(&["- 3 2", "- - 9", "0 - 0", "- 1 1"]);
    assert_eq!(
        picked,
        ["2", "2", "0", "1"],
        "'-' is a worker that is full or gone, here in '- 3 2', '- - 9', '0 - 0', '- 1 1'. Do you take \
         None for 0? (None is less than every Some, for Ord.)"
    );
    assert_eq!(
        picks(&["- -", ""]),
        ["nobody", "nobody"],
        "there is nobody who could be picked"
    );
}

#[test]
fn the_books_follow_what_is_opened_and_closed() {
    let shown = books(
        "workers 3 2; loads; opened 1; opened 1; opened 2; loads; closed 1; loads",
    );
    assert_eq!(
        shown,
        ["0 0 0", "0 - 1", "0 1 1"],
        "three workers, and 2 is the limit. Worker 1 gets two and worker 2 gets one; then 1 closes one. \
         A worker that has as many as the limit is full: is your comparison off by one?"
    );
}

#[test]
fn a_dead_worker_has_no_connections_and_no_count_goes_below_zero() {
    let shown = books("workers 2 9; opened 0; closed 0; closed 0; closed 0; loads");
    assert_eq!(
        shown,
        ["0 0"],
        "worker 0 was given one connection and says three times that it has closed one. Your books show \
         the left. What is 0 - 1, for a usize?"
    );
    let shown = books(
        "workers 2 9; opened 0; opened 0; opened 1; gone 0; loads; closed 0; loads; back 0; loads; \
         closed 0; opened 0; loads",
    );
    assert_eq!(
        shown,
        ["- 1", "- 1", "0 1", "1 1"],
        "worker 0 has two connections and dies: your books show the left, and '-' is a worker that is \
         gone. A late 'closed' changes nothing; its successor begins with none. What becomes of the old \
         count?"
    );
}

#[test]
fn a_worker_with_long_connections_gets_fewer_new_ones() {
    let server = start(3, 50);
    // Equals take turns, so each gets four.
    let mut clients: Vec<Client> = (0..12).map(|_| hold(&server, LONG)).collect();
    let busy = clients[0].worker;
    assert_eq!(
        count(&clients)[&busy],
        4,
        "12 connections went to 3 workers that had none. Their shares, by pid: {:?}. Does everybody get a \
         turn?",
        count(&clients)
    );
    clients.retain(|client| client.worker == busy);
    wait_for_loads(
        &server,
        &["4 0 0", "0 4 0", "0 0 4"],
        "two workers have closed all they had",
    );

    let new: Vec<Client> = (0..6).map(|_| hold(&server, LONG)).collect();
    let shares = count(&new);
    assert!(
        !shares.contains_key(&busy) && shares.values().all(|share| *share == 3),
        "worker {busy} is stuck with 4 connections, and the two others have none. Of 6 new ones they got, \
         by pid: {shares:?}. Each new one belongs to whoever has the fewest at that moment: does your \
         policy look at the loads, or only at whose turn it is?"
    );
    // 4 3 3: two more go to the others, and then it is everybody's turn again.
    let more: Vec<Client> = (0..5).map(|_| hold(&server, LONG)).collect();
    assert!(
        count(&more).contains_key(&busy),
        "all workers have as many as {busy} by now, but it has got none of 5 more: it starves. Their \
         shares, by pid: {:?}",
        count(&more)
    );
}

#[test]
fn a_full_worker_is_passed_over_until_it_has_room() {
    let server = start(2, 2);
    let mut clients: Vec<Client> = (0..4).map(|_| hold(&server, LONG)).collect();
    assert!(
        count(&clients).values().all(|share| *share == 2),
        "two workers may have 2 connections each. Of four they got, by pid: {:?}",
        count(&clients)
    );
    wait_for_loads(&server, &["- -"], "both workers are full");
    let fifth = ask(&server, LONG);
    fifth.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    assert!(
        fifth.peek(&mut [0]).is_err(),
        "both workers have 2 connections, which is the limit, and a fifth client was answered all the \
         same. When is a worker full?"
    );
    let leaves = clients.remove(0);
    let freed = leaves.worker;
    drop(leaves);
    let fifth = Client::new(fifth, &server);
    assert_eq!(
        fifth.worker, freed,
        "worker {freed} has closed one of its two connections. The client that was waiting belongs to it"
    );
}

#[test]
fn the_successor_of_a_dead_worker_begins_with_nothing() {
    let server = start(2, 50);
    let clients: Vec<Client> = (0..6).map(|_| hold(&server, LONG)).collect();
    let dead = clients[0].worker;
    let survivor = clients[1].worker;
    let process = server
        .children()
        .into_iter()
        .find(|it| it.pid == dead)
        .expect("our worker");
    assert!(process.signal(Signal::SIGKILL));
    server.wait_for_line_or(
        " is gone",
        "A worker was killed. Has your policy ended the parent?",
    );
    wait_for_loads(
        &server,
        &["0 3", "3 0"],
        "a worker with 3 connections was killed and replaced",
    );

    let new: Vec<Client> = (0..3).map(|_| hold(&server, LONG)).collect();
    assert!(
        new.iter().all(|client| client.worker != survivor && alive(client.worker)),
        "worker {survivor} has 3 connections, and the successor of {dead} has none. Three new ones went \
         to {:?}. Does the successor inherit a count?",
        new.iter().map(|client| client.worker).collect::<Vec<_>>()
    );
    wait_for_loads(&server, &["3 3"], "three more were opened");
    eventually("the dead worker is reaped", SOON, || {
        zombies_of(server.pid()).is_empty()
    });
}

/// What your policy picks, for each of these loads.
#[track_caller]
fn picks(loads: &[&str]) -> Vec<String> {
    let lines: Vec<String> =
        loads.iter().map(|loads| format!("pick {loads}")).collect();
    run_policy(&lines, "pick: ")
}

/// What your books show, after lines that `; ` separates.
#[track_caller]
fn books(lines: &str) -> Vec<String> {
    run_policy(&lines.split("; ").collect::<Vec<_>>(), "loads: ")
}

#[track_caller]
fn run_policy(lines: &[impl AsRef<str>], shown: &str) -> Vec<String> {
    let lines: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
    let dir = temp_dir();
    let script = dir.write("script", lines.join("\n"));
    let script = std::fs::File::open(script).expect("it was just written");
    let output = exercise!().arg("policy").stdin(script).output();
    let overflow = output.stderr.contains("subtract with overflow");
    let hint = if overflow {
        "What is 0 - 1, for a usize?"
    } else {
        "Which of them is it?"
    };
    assert!(
        output.status.success(),
        "one of these lines ends your program: a child could end its parent. {hint}\n  {}\nIt says:\n{}{}\
         To try it by hand: cargo run -p {} -- policy",
        lines.join("\n  "),
        output.stdout,
        output.stderr,
        env!("CARGO_PKG_NAME"),
    );
    output
        .stdout
        .lines()
        .filter_map(|line| Some(line.strip_prefix(shown)?.to_owned()))
        .collect()
}

#[track_caller]
fn start(workers: usize, limit: usize) -> Running {
    let (workers, limit) = (workers.to_string(), limit.to_string());
    exercise!()
        .args(["--port", "0", "--workers", &workers, "--limit", &limit])
        .start()
}

/// A client whose connection a worker holds, until this is dropped.
struct Client {
    _stream: TcpStream,
    worker: i32,
}

/// Connects, says for how many milliseconds, and hears who holds it.
#[track_caller]
fn hold(server: &Running, milliseconds: u32) -> Client {
    Client::new(ask(server, milliseconds), server)
}

#[track_caller]
fn ask(server: &Running, milliseconds: u32) -> TcpStream {
    let stream = TcpStream::connect(server.addr());
    let mut stream = stream.unwrap_or_else(|why| not_answered(server, &why));
    // If the parent has ended meanwhile, that shows when the answer is read.
    let _ = writeln!(stream, "{milliseconds}");
    stream
}

impl Client {
    #[track_caller]
    fn new(stream: TcpStream, server: &Running) -> Client {
        stream.set_read_timeout(Some(SOON)).expect("a time-out");
        let mut line = String::new();
        let heard = BufReader::new(&stream).read_line(&mut line);
        let worker =
            line.trim().strip_prefix("held by ").and_then(|pid| pid.parse().ok());
        let worker = worker.unwrap_or_else(|| not_answered(server, &heard));
        Client { _stream: stream, worker }
    }
}

#[track_caller]
fn not_answered(server: &Running, why: &dyn Debug) -> ! {
    // What it says at its end comes last.
    let ended = try_eventually(Duration::from_secs(1), || {
        server.output_ended().then_some(())
    });
    let hint = if ended.is_some() {
        "It has ended, and should not."
    } else {
        "Does pick(…) return None although somebody has room?"
    };
    panic!(
        "a client is not answered ({why:?}). The parent says:\n{}{}{hint}",
        server.stdout(),
        server.stderr()
    )
}

/// How many of these each worker has, by pid.
fn count(clients: &[Client]) -> HashMap<i32, usize> {
    let mut shares = HashMap::new();
    for client in clients {
        *shares.entry(client.worker).or_default() += 1;
    }
    shares
}

/// Waits until the parent shows one of these as the loads.
#[track_caller]
fn wait_for_loads(server: &Running, wanted: &[&str], story: &str) {
    let last = || {
        server
            .stdout()
            .lines()
            .filter_map(|it| Some(it.strip_prefix("loads: ")?.to_owned()))
            .next_back()
    };
    let shown = || last().filter(|shown| wanted.contains(&&**shown));
    assert!(
        try_eventually(SOON, shown).is_some(),
        "{story}: your books should show {}. What the parent says:\n{}{}",
        wanted.join(" or "),
        server.stdout(),
        server.stderr()
    );
}
