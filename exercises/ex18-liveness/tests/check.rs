//! What your watch has to find, and what it has to leave alone. `cargo test -p ex18-liveness`

use std::fmt::Write as _;
use std::fs::{self, File};
use std::thread::sleep;
use std::time::Duration;

use testkit::{
    Output, Process, Running, Signal, exercise, temp_dir, try_eventually,
};

/// How long a worker may be silent in the tests with processes.
const LIMIT: Duration = Duration::from_millis(600);

/// How long we wait for what should happen within [`LIMIT`]. Long, because the machine may
/// be busy.
const SOON: Duration = Duration::from_secs(8);

/// Runs your program with this script on its standard input, to its end.
#[track_caller]
fn run(script: &str) -> Output {
    let dir = temp_dir();
    let file = File::open(dir.write("script", script)).expect("the script");
    exercise!().arg("script").stdin(file).output()
}

/// The workers in a line of output, `900 overdue: 1 2`, in an order of their own: yours
/// does not matter.
fn workers(line: &str) -> Vec<&str> {
    let workers = line.split_once(": ").map_or("", |(_, workers)| workers);
    let mut workers: Vec<&str> = workers.split(' ').collect();
    workers.sort_unstable();
    workers
}

/// Plays a script, whose questions are written with the answer: `900 ask: 1 2`.
#[track_caller]
fn finds(script: &str, hint: &str) {
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let asked: Vec<&str> =
        lines.iter().map(|it| it.split(':').next().unwrap_or(it)).collect();
    let output = run(&asked.join("\n"));
    let mut said = output.stdout.lines();
    let mut story = String::new();
    for (line, asked) in lines.iter().zip(asked) {
        let Some((_, right)) = line.split_once(": ") else {
            if line.starts_with("limit") {
                said.next();
            }
            let _ = writeln!(story, "{line}");
            continue;
        };
        let says = said.next().unwrap_or("(no answer)");
        let _ = writeln!(story, "{asked}\n  {says}");
        assert!(
            workers(says) == right.split(' ').collect::<Vec<_>>(),
            "to the last question the answer should be: {right}\n{story}\n{hint}\n{}",
            output.stderr
        );
    }
}

#[test]
fn a_worker_that_is_silent_for_the_limit_is_overdue() {
    finds(
        "limit 1000
         100 sign 1
         300 ask: none
         600 ask: none
         850 ask: none
         1099 ask: none
         1100 ask: 1",
        "The last sign of worker 1 was at 100 ms. 999 ms later it is not overdue, and 1000 ms later \
         it is.",
    );
    finds(
        "limit 1000
         200 sign 1
         250 ask: none
         400 sign 1
         500 ask: none
         600 sign 1
         750 ask: none
         1000 ask: none
         1250 ask: none
         1500 ask: none
         1599 ask: none
         1600 ask: 1",
        "The last sign of worker 1 was at 600 ms. Which sign do you count from?",
    );
}

#[test]
fn a_worker_is_returned_once() {
    finds(
        "limit 1000
         100 sign 1
         500 ask: none
         1000 ask: none
         1500 ask: 1
         1600 ask: none
         2000 ask: none",
        "Worker 1 was returned, and is being killed. What becomes of it in your watch?",
    );
}

#[test]
fn each_worker_has_its_own_time() {
    finds(
        "limit 1000
         0 sign 1
         100 sign 2
         300 sign 3
         400 ask: none
         600 sign 2
         800 ask: none
         1100 ask: 1
         1200 sign 2
         1300 ask: 3
         1500 ask: none
         1900 ask: none
         2200 ask: 2",
        "Worker 2 gives signs, and workers 1 and 3 do not. A sign of one worker says nothing about \
         another one.",
    );
}

#[test]
fn a_worker_that_is_busy_for_half_the_limit_is_left_alone() {
    finds(
        "limit 1000
         100 sign 1
         225 sign 1
         250 ask: none
         500 ask: none
         725 sign 1
         750 ask: none
         1000 ask: none
         1225 sign 1
         1250 ask: none
         1500 ask: none
         1750 ask: none
         2000 ask: none
         2225 ask: 1",
        "Worker 1 is busy for 500 ms, twice, and gives a sign in between: it does not hang. Then it \
         gives none for 1000 ms.",
    );
}

#[test]
fn a_worker_is_watched_from_its_first_sign_on() {
    finds(
        "limit 1000
         0 ask: none
         400 ask: none
         800 ask: none
         1200 ask: none
         1600 ask: none
         1700 sign 7
         2000 ask: none
         2400 ask: none
         2699 ask: none
         2700 ask: 7",
        "Worker 7 needs a while until it gives its first sign, at 1700 ms. When does its time \
         begin?",
    );
}

#[test]
fn a_worker_that_has_exited_is_not_watched() {
    finds(
        "limit 1000
         100 sign 1
         200 sign 2
         300 exit 1
         350 exit 9
         500 ask: none
         900 ask: none
         1200 ask: 2
         1300 exit 2
         1500 ask: none",
        "Worker 1 has exited at 300 ms, so it gives no signs. Worker 9 has exited before it gave \
         any.",
    );
}

#[test]
fn if_the_watch_itself_was_stopped_no_worker_is_overdue() {
    finds(
        "limit 1000
         100 sign 1
         200 sign 2
         250 ask: none
         60250 ask: none",
        "There was no question for 60 s. So this process was stopped, by Ctrl-Z perhaps, and its \
         workers as well. Is their silence their fault?",
    );
    finds(
        "limit 1000
         100 sign 1
         500 ask: none
         60000 ask: none
         60250 ask: none
         60500 ask: none
         60999 ask: none
         61000 ask: 1",
        "The watch was stopped until 60000 ms. Then the time of worker 1 begins anew, as if it had \
         given a sign: it has the whole limit. And it is still watched.",
    );
}

#[test]
fn a_stop_is_noticed_even_if_a_sign_comes_before_the_question() {
    finds(
        "limit 1000
         100 sign 1
         100 sign 2
         250 ask: none
         60000 sign 2
         60000 ask: none
         60500 ask: none
         61000 ask: 1 2",
        "After the stop, a sign of worker 2 is read, and then comes the question. Between which two \
         moments do you measure whether the watch was stopped?",
    );
}

#[test]
fn a_stop_that_is_shorter_than_the_limit_counts_too() {
    finds(
        "limit 1000
         100 sign 1
         300 ask: none
         600 ask: none
         1200 ask: none
         1700 ask: none
         2199 ask: none
         2200 ask: 1",
        "Between the questions at 600 and 1200 ms are 600 ms, more than half of the limit: so the \
         watch was stopped. Worker 1 had 500 ms of its limit left before, and may have been \
         stopped with it.",
    );
    finds(
        "limit 1000
         100 sign 1
         500 ask: none
         1000 ask: none
         1500 ask: 1",
        "Between two questions is exactly half of the limit, which is not more than half: the watch \
         was not stopped.",
    );
    finds(
        "limit 1000
         400 sign 1
         501 ask: none
         1000 ask: none
         1500 ask: none
         1501 ask: 1",
        "The first question comes 501 ms after the beginning, which is more than half of the \
         limit.",
    );
}

/// The same in another way, slow and simple: it keeps all that has happened.
struct Reference {
    limit: u64,
    happened: Vec<(u64, What)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Sign(u32),
    /// It has exited, or was returned.
    Gone(u32),
    Question,
    /// A question after a stop.
    Anew,
}

impl Reference {
    fn ask(&mut self, now: u64) -> Vec<u32> {
        let asks = |&&(_, what): &&(u64, What)| {
            [What::Question, What::Anew].contains(&what)
        };
        let last = self.happened.iter().rev().find(asks).map_or(0, |it| it.0);
        let is_anew = 2 * (now - last) > self.limit;
        self.happened
            .push((now, if is_anew { What::Anew } else { What::Question }));
        let late: Vec<u32> =
            (0..100).filter(|&worker| self.is_late(worker, now)).collect();
        self.happened.extend(late.iter().map(|&worker| (now, What::Gone(worker))));
        late
    }

    fn is_late(&self, worker: u32, now: u64) -> bool {
        let is_gone = self.happened.iter().any(|it| it.1 == What::Gone(worker));
        let first = self.happened.iter().position(|it| it.1 == What::Sign(worker));
        let Some(first) = first.filter(|_| !is_gone) else { return false };
        let counts =
            |it: &&(u64, What)| [What::Sign(worker), What::Anew].contains(&it.1);
        let last = self.happened[first..].iter().rev().find(counts);
        last.is_some_and(|it| now - it.0 >= self.limit)
    }
}

/// Random numbers that are the same in every run (Knuth's linear congruential generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % below
    }
}

/// A random script: lines, and for a question what should be answered.
fn random(dice: &mut Dice, length: usize) -> Vec<(String, Option<String>)> {
    let limit = 200 * (1 + dice.roll(4) as u64);
    let mut reference = Reference { limit, happened: Vec::new() };
    let mut lines = vec![(format!("limit {limit}"), None)];
    let (mut now, mut gone) = (0, Vec::new());
    while lines.len() <= length {
        // Mostly the questions come in time, and sometimes just in time.
        let quarter = limit / 4;
        let steps = [0, 1, quarter / 2, quarter, quarter, limit / 2, limit / 2 + 1];
        now += steps[dice.roll(steps.len())];
        let worker = dice.roll(4 + lines.len() / 20) as u32;
        match dice.roll(8) {
            0 if !gone.contains(&worker) => {
                gone.push(worker);
                reference.happened.push((now, What::Gone(worker)));
                lines.push((format!("{now} exit {worker}"), None));
            }
            1..3 if !gone.contains(&worker) => {
                reference.happened.push((now, What::Sign(worker)));
                lines.push((format!("{now} sign {worker}"), None));
            }
            3.. => {
                let late = reference.ask(now);
                gone.extend(&late);
                let late: Vec<String> =
                    late.iter().map(ToString::to_string).collect();
                let right = match late.is_empty() {
                    true => "none".to_owned(),
                    false => late.join(" "),
                };
                lines.push((format!("{now} ask"), Some(right)));
            }
            _ => {}
        }
    }
    lines
}

#[test]
fn three_hundred_random_scripts_are_answered_as_a_slow_and_simple_watch_does() {
    let mut dice = Dice(2026);
    // The short ones first: the first that fails is then a short one.
    let scripts: Vec<_> =
        (0..300).map(|number| random(&mut dice, 3 + number / 6)).collect();
    let all: Vec<&str> =
        scripts.iter().flatten().map(|(line, _)| line.as_str()).collect();
    let output = run(&all.join("\n"));
    let mut said = output.stdout.lines();
    for script in &scripts {
        let mut story = String::new();
        for (line, right) in script {
            let _ = writeln!(story, "{line}");
            if line.starts_with("limit") {
                said.next();
            }
            let Some(right) = right else { continue };
            let says = said.next().unwrap_or("(no answer)");
            let _ = writeln!(story, "  {says}");
            assert!(
                workers(says) == workers(&format!(": {right}")),
                "to the last question the answer should be: {right}. When was the last sign of each \
                 worker, and which questions came too late?\n{story}\n{}",
                output.stderr
            );
        }
    }
}

/// Starts your program. Returns it once each worker gives signs.
#[track_caller]
fn server(number: usize) -> (Running, Vec<Process>) {
    let limit = LIMIT.as_millis().to_string();
    let count = number.to_string();
    let server = exercise!().args(["--workers", &count, "--limit", &limit]).start();
    let works = || server.stdout().matches(" works\n").count();
    let over = || works() >= number || server.output_ended();
    let _ = try_eventually(SOON, || over().then_some(()));
    let workers = server.children();
    assert!(
        workers.len() == number && works() == number,
        "{number} workers should run, and {} do\n{}",
        workers.len(),
        server.describe()
    );
    (server, workers)
}

/// Whether this worker was found.
fn is_found(server: &Running, worker: Process) -> bool {
    let line = format!("hangs: process {} is killed\n", worker.pid);
    server.stdout().contains(&line)
}

/// Stops this worker, which must be found, and no other one.
#[track_caller]
fn must_find(server: &Running, worker: Process, story: &str) {
    worker.signal(Signal::SIGSTOP);
    let over = || is_found(server, worker) || server.output_ended();
    let _ = try_eventually(SOON, || over().then_some(()));
    assert!(
        is_found(server, worker),
        "{story} Process {} was stopped (SIGSTOP), and may be silent for {LIMIT:?}. {SOON:?} later \
         it was not found.\n{}",
        worker.pid,
        server.describe()
    );
    let count = server.stdout().matches(" hangs: ").count();
    assert_eq!(
        count,
        1,
        "{story} One worker was stopped alone, process {}. On the left is how many were killed. \
         Which of the others did not hang?\n{}",
        worker.pid,
        server.describe()
    );
}

/// Blocks until this process is in one of these states, as proc_pid_stat(5) names them.
#[track_caller]
fn wait_for_state(process: Process, states: &str) {
    let is_there = || {
        let stat =
            fs::read_to_string(format!("/proc/{}/stat", process.pid)).ok()?;
        let state = stat.rsplit(')').next()?.trim().chars().next()?;
        states.contains(state).then_some(())
    };
    let found = try_eventually(SOON, is_there);
    assert!(found.is_some(), "process {} is in no state of {states}", process.pid);
}

#[test]
fn a_worker_that_is_stopped_is_killed_and_replaced() {
    let (server, workers) = server(2);
    must_find(&server, workers[0], "Two workers run.");
    let replaced = || {
        let now = server.children();
        let is_right =
            now.len() == 2 && now[0] == workers[1] && now[1] != workers[0];
        is_right.then_some(())
    };
    assert!(
        try_eventually(SOON, replaced).is_some(),
        "the worker that was stopped should be replaced, and the other one should run on\n{}",
        server.describe()
    );
}

#[test]
fn a_worker_that_is_busy_is_left_alone() {
    let (server, workers) = server(1);
    for count in 1..=2 {
        workers[0].signal(Signal::SIGUSR1);
        let line = "works again\n";
        let again = || server.stdout().matches(line).count() == count;
        let over = || again() || server.stdout().contains(" hangs: ");
        let _ = try_eventually(SOON, || over().then_some(()));
        assert!(
            again() && !server.stdout().contains(" hangs: "),
            "the worker was busy for half of the limit, and gave no sign meanwhile. It should be \
             left alone.\n{}",
            server.describe()
        );
    }
    must_find(&server, workers[0], "Before, the worker was busy, twice.");
}

#[test]
fn if_all_processes_were_stopped_no_worker_is_killed() {
    let (server, workers) = server(2);
    for worker in &workers {
        worker.signal(Signal::SIGSTOP);
        wait_for_state(*worker, "T");
    }
    // It has read all signs: it would not sleep otherwise.
    wait_for_state(server.process(), "S");
    server.signal(Signal::SIGSTOP);
    wait_for_state(server.process(), "T");
    sleep(3 * LIMIT / 2);
    // It asks before its workers can give a sign.
    server.signal(Signal::SIGCONT);
    wait_for_state(server.process(), "S");
    sleep(LIMIT / 16);
    for worker in &workers {
        worker.signal(Signal::SIGCONT);
    }
    let story = "All processes were stopped for one and a half limits, as by Ctrl-Z, and then \
                 continued, the watch first.";
    must_find(&server, workers[1], story);
}
