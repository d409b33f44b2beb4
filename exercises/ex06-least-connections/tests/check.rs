//! What your program has to do. `cargo test -p ex06-least-connections`

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

use testkit::{
    Running, Signal, alive, eventually, exercise, temp_dir, try_eventually,
    zombies_of,
};

/// Far more time than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

/// Milliseconds: longer than any test.
const LONG: u32 = 600_000;

#[test]
fn the_worker_with_the_fewest_is_picked() {
    let loads = ["3 1 2", "0 1 1", "7 7 3 4", "5"];
    for ((loads, picked), wanted) in
        loads.iter().zip(picks(&loads)).zip(["1", "0", "2", "0"])
    {
        assert_eq!(
            picked, wanted,
            "the workers have {loads} connections, and your policy picks the one on the left. \
             Which of them has the fewest?"
        );
    }
}

#[test]
fn workers_with_equal_loads_take_turns() {
    let mut loads = vec!["0 0 0"; 7];
    loads.extend(["2 0 2", "1 1 1", "4 4 4", "1 9 1", "1 9 1", "1 9 1"]);
    let picked = picks(&loads);
    assert_eq!(
        picked[..7],
        ["0", "1", "2", "0", "1", "2", "0"],
        "three workers have no connection, and your policy is asked seven times. What it picks \
         is on the left. Worker 0 has the first turn, but if it has every turn, it gets all \
         connections of a quiet server. Which worker was picked last?"
    );
    assert_eq!(
        picked[7..],
        ["1", "2", "0", "2", "0", "2"],
        "first worker 1 has the fewest; then all are equal, twice; then 0 and 2 are equal, three \
         times. What your policy picks is on the left. Among equals it should be the first \
         *after* the worker that was picked last, also if that one was picked because it had the \
         fewest"
    );
}

#[test]
fn a_worker_that_is_full_or_has_exited_is_not_picked() {
    let picked = picks(&["- 3 2", "- - 9", "0 - 0", "- 1 1", "- -", ""]);
    assert_eq!(
        picked[..4],
        ["2", "2", "0", "1"],
        "'-' is a worker that is full or has exited, here in '- 3 2', '- - 9', '0 - 0' and \
         '- 1 1'. What your policy picks is on the left. Do you take None for 0? (For Ord, None \
         is less than every Some.)"
    );
    assert_eq!(
        picked[4..],
        ["none", "none"],
        "no worker can be picked from '- -', and none from an empty list"
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
        "three workers, and 2 is the limit. Worker 1 is sent two connections and worker 2 is sent \
         one; then worker 1 closes one. Your books show the left. A worker that has as many as \
         the limit is full: is your comparison off by one?"
    );
}

#[test]
fn no_count_goes_below_zero() {
    let shown = books("workers 2 9; opened 0; closed 0; closed 0; closed 0; loads");
    assert_eq!(
        shown,
        ["0 0"],
        "worker 0 was sent one connection and reports three times that it has closed one. Your \
         books show the left. What is 0 - 1, for a usize?"
    );
}

#[test]
fn a_worker_that_has_exited_has_no_connections() {
    let shown = books(
        "workers 2 9; opened 0; opened 0; opened 1; exited 0; loads; closed 0; opened 0; loads; \
         respawned 0; loads; closed 0; opened 0; loads",
    );
    assert_eq!(
        shown,
        ["- 1", "- 1", "0 1", "1 1"],
        "worker 0 has two connections and exits. After that, a late `closed` and a late `opened` \
         change nothing. Then it is respawned, and has none; then it is sent one. Your books show \
         the left. What becomes of the old count?"
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
        "12 connections went to 3 workers that had none. How many each got, by process: {}. \
         Does each worker get a turn?",
        in_words(&count(&clients))
    );
    clients.retain(|client| client.worker == busy);
    wait_for_loads(
        &server,
        &["4 0 0", "0 4 0", "0 0 4"],
        "two of the workers have closed all their connections",
    );

    let new: Vec<Client> = (0..6).map(|_| hold(&server, LONG)).collect();
    let shares = count(&new);
    assert!(
        !shares.contains_key(&busy) && shares.values().all(|share| *share == 3),
        "worker {busy} has 4 long connections, and the two others have none. Then 6 clients \
         connect. How many of these 6 each worker got, by process: {}. Each new connection \
         belongs to the worker that has the fewest at that moment. Does your policy look at the \
         loads, or only at whose turn it is?",
        in_words(&shares)
    );
    // 4 3 3: two more go to the others, and then worker `busy` has a turn again.
    let more: Vec<Client> = (0..5).map(|_| hold(&server, LONG)).collect();
    assert!(
        count(&more).contains_key(&busy),
        "worker {busy} has 4 connections and the others have 3. Then 5 clients connect, and \
         {busy} got none of these, although it has the fewest after the second. How many each \
         worker got, by process: {}",
        in_words(&count(&more))
    );
}

#[test]
fn a_full_worker_is_not_sent_more() {
    let server = start(2, 2);
    let mut clients: Vec<Client> = (0..4).map(|_| hold(&server, LONG)).collect();
    assert!(
        count(&clients).values().all(|share| *share == 2),
        "two workers may have 2 connections each, and 4 clients connect. How many each worker \
         got, by process: {}. Which worker was picked last?",
        in_words(&count(&clients))
    );
    wait_for_loads(&server, &["- -"], "both workers are full");
    let fifth = ask(&server, LONG);
    fifth.set_read_timeout(Some(Duration::from_millis(300))).expect("a time-out");
    assert!(
        fifth.peek(&mut [0]).is_err(),
        "both workers have 2 connections, which is the limit, and all the same a fifth client \
         was sent to a worker. When is a worker full?"
    );
    let freed = clients.remove(0).worker;
    let fifth = Client::new(fifth, &server);
    assert_eq!(
        fifth.worker, freed,
        "worker {freed} has closed one of its two connections, and the other worker is full. The \
         client that was waiting went to the process on the left"
    );
}

#[test]
fn a_respawned_worker_starts_with_no_connections() {
    let server = start(2, 50);
    let clients: Vec<Client> = (0..6).map(|_| hold(&server, LONG)).collect();
    let killed = clients[0].worker;
    let Some(survivor) =
        clients.iter().map(|it| it.worker).find(|it| *it != killed)
    else {
        panic!(
            "6 connections went to 2 workers that had none, and all to {killed}. Which worker \
             was picked last?"
        );
    };
    let children = server.children();
    let process = children.iter().find(|it| it.pid == killed).expect("a worker");
    assert!(process.signal(Signal::SIGKILL));
    let hint = "A worker was killed. Does your part panic then?";
    server.wait_for_line_or(" has exited", hint);
    wait_for_loads(
        &server,
        &["0 3", "3 0"],
        "a worker with 3 connections was killed and respawned",
    );

    let new: Vec<Client> = (0..3).map(|_| hold(&server, LONG)).collect();
    assert!(
        new.iter().all(|client| client.worker != survivor && alive(client.worker)),
        "worker {survivor} has 3 connections, and the one that was respawned for {killed} has \
         none. Three new connections went to {:?}. Do your books keep the count of a worker that \
         has exited?",
        new.iter().map(|client| client.worker).collect::<Vec<_>>()
    );
    wait_for_loads(&server, &["3 3"], "three more were opened");
    eventually("the killed worker is reaped", LIMIT, || {
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
    let script = File::open(script).expect("it was just written");
    let output = exercise!().arg("policy").stdin(script).output();
    let overflow = output.stderr.contains("subtract with overflow");
    let hint = if overflow { "What is 0 - 1, for a usize?\n" } else { "" };
    assert!(
        output.status.success(),
        "one of these lines makes your program panic, so a worker could end its parent. \
         {hint}  {}\nYour program says:\n{}{}To try it by hand: cargo run -p {} -- policy",
        lines.join("\n  "),
        output.stdout,
        output.stderr,
        env!("CARGO_PKG_NAME"),
    );
    let shown = output.stdout.lines().filter_map(|line| line.strip_prefix(shown));
    shown.map(str::to_owned).collect()
}

#[track_caller]
fn start(workers: usize, limit: usize) -> Running {
    let (workers, limit) = (workers.to_string(), limit.to_string());
    exercise!()
        .args(["--port", "0", "--workers", &workers, "--limit", &limit])
        .start()
}

/// A client whose connection a worker holds until this is dropped.
struct Client {
    _stream: TcpStream,
    worker: i32,
}

/// Connects, says for how many milliseconds, and waits for the worker's reply.
#[track_caller]
fn hold(server: &Running, milliseconds: u32) -> Client {
    Client::new(ask(server, milliseconds), server)
}

#[track_caller]
fn ask(server: &Running, milliseconds: u32) -> TcpStream {
    let mut stream = match TcpStream::connect(server.addr()) {
        Ok(stream) => stream,
        Err(error) => not_answered(server, &error.to_string()),
    };
    // If the parent exits now, the client notices when it reads the reply.
    let _ = writeln!(stream, "{milliseconds}");
    stream
}

impl Client {
    #[track_caller]
    fn new(stream: TcpStream, server: &Running) -> Client {
        stream.set_read_timeout(Some(LIMIT)).expect("a time-out");
        let mut line = String::new();
        let read = BufReader::new(&stream).read_line(&mut line);
        let pid = line.trim().strip_prefix("held by ").map(str::parse);
        match (pid, read) {
            (Some(Ok(worker)), _) => Client { _stream: stream, worker },
            (_, Ok(_)) => not_answered(server, "its connection was closed"),
            (_, Err(_)) => {
                not_answered(server, &format!("it has waited {LIMIT:?}"))
            }
        }
    }
}

#[track_caller]
fn not_answered(server: &Running, why: &str) -> ! {
    // If it is about to exit, its last words explain it.
    let ended = try_eventually(Duration::from_secs(1), || {
        server.output_ended().then_some(())
    });
    let hint = match ended {
        Some(()) => "The parent has exited, and should not.",
        None => "Does `pick` return None although a worker has room?",
    };
    panic!("no worker has answered a client: {why}. {hint}\n{}", server.describe())
}

/// How many of these connections each worker has, by process.
fn count(clients: &[Client]) -> HashMap<i32, usize> {
    let mut shares = HashMap::new();
    for client in clients {
        *shares.entry(client.worker).or_default() += 1;
    }
    shares
}

/// `process 4312: 4, process 4313: 2`
fn in_words(shares: &HashMap<i32, usize>) -> String {
    let mut shares: Vec<_> = shares.iter().collect();
    shares.sort();
    let words =
        shares.into_iter().map(|(pid, count)| format!("process {pid}: {count}"));
    words.collect::<Vec<_>>().join(", ")
}

/// Waits until the parent shows one of these as the loads.
#[track_caller]
fn wait_for_loads(server: &Running, wanted: &[&str], story: &str) {
    let shows_one = || {
        let said = server.stdout();
        let mut shown = said.lines().filter_map(|it| it.strip_prefix("loads: "));
        shown.next_back().is_some_and(|last| wanted.contains(&last)).then_some(())
    };
    assert!(
        try_eventually(LIMIT, shows_one).is_some(),
        "{story}. Within {LIMIT:?} your books should show {}.\n{}",
        wanted.join(" or "),
        server.describe()
    );
}
