//! What your policy has to decide. `cargo test -p ex14-restart-limit`

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::time::Duration;

use testkit::{Output, exercise, temp_dir, try_eventually};

/// Runs your program with this script on its standard input, to its end.
#[track_caller]
fn run(script: &str, limit: Duration) -> Output {
    let dir = temp_dir();
    let file = File::open(dir.write("script", script)).expect("the script");
    let program = exercise!().stdin(file).start();
    let over = || program.try_wait().filter(|_| program.output_ended());
    let Some(status) = try_eventually(limit, over) else {
        panic!(
            "your program should decide a script of {} lines within {limit:?}, and has not. What \
             does a step do that takes longer and longer? (Or does it wait? The time is in the \
             script.)",
            script.lines().count()
        );
    };
    Output { status, stdout: program.stdout(), stderr: program.stderr() }
}

/// Lets your policy decide about some events: each is a pair with what it should decide.
#[track_caller]
fn decides(limit: &str, events: &[(&str, &str)], hint: &str) {
    let mut script = limit.to_owned();
    for (event, _) in events {
        let _ = write!(script, "\n{event}");
    }
    let output = run(&script, Duration::from_secs(8));
    let mut decided = output.stdout.lines().skip(1);
    let mut story = format!("{limit}\n");
    for (event, right) in events {
        // Without the time before it and the number of a new worker after it.
        let line = decided.next().unwrap_or_default();
        let line = line.split_once(' ').map_or("(no decision)", |(_, line)| line);
        let says = line.trim_end_matches(|c: char| c == ' ' || c.is_ascii_digit());
        let _ = writeln!(story, "{event:24} {says}");
        assert_eq!(
            says, *right,
            "about the last of these events:\n{story}\n{hint}\n{}",
            output.stderr
        );
    }
}

#[test]
fn crashes_are_restarted_up_to_the_limit() {
    decides(
        "limit 3 1000",
        &[
            ("100 1 exit 1", "start"),
            ("150 2 kill 11", "start"),
            ("150 3 exit 1", "start"),
        ],
        "three restarts are allowed in 1000 ms.",
    );
    decides(
        "limit 3 1000",
        &[
            ("100 1 exit 1", "start"),
            ("150 2 exit 1", "start"),
            ("200 3 exit 1", "start"),
            ("250 4 exit 1", "give up"),
        ],
        "three restarts were made in the last 1000 ms, and three are allowed.",
    );
    decides(
        "limit 0 1000",
        &[("100 1 exit 1", "give up")],
        "none is allowed at all.",
    );
}

#[test]
fn each_exit_that_was_not_announced_is_a_crash() {
    decides(
        "limit 2 1000",
        &[
            ("100 1 exit 0", "start"),
            ("200 2 kill 15", "start"),
            ("300 3 exit 0", "give up"),
        ],
        "no worker has announced its exit, so all of these are crashes. A worker that exits with \
         code 0 is missing just like one that was killed: does it count?",
    );
}

#[test]
fn the_window_slides() {
    decides(
        "limit 2 1000",
        &[
            ("900 1 exit 1", "start"),
            ("950 2 exit 1", "start"),
            ("1050 3 exit 1", "give up"),
        ],
        "two restarts were made in the 1000 ms before. Does your window begin anew at 1000? It \
         reaches back from *now*, whenever that is.",
    );
    decides(
        "limit 2 1000",
        &[
            ("0 1 exit 1", "start"),
            ("900 2 exit 1", "start"),
            ("1050 3 exit 1", "start"),
            ("1100 4 exit 1", "give up"),
        ],
        "of the restarts at 0, 900 and 1050 ms, two were made in the 1000 ms before. When the \
         first leaves the window, what becomes of the others?",
    );
    decides(
        "limit 1 1000",
        &[
            ("500 1 exit 1", "start"),
            ("1500 2 exit 1", "start"),
            ("2499 3 exit 1", "give up"),
        ],
        "a restart that was made exactly 1000 ms ago is outside the window, and one that was made \
         999 ms ago is inside.",
    );
}

#[test]
fn a_worker_that_drains_is_replaced_once_and_does_not_count() {
    decides(
        "limit 1 1000",
        &[
            ("100 1 drain", "start"),
            ("110 2 drain", "start"),
            ("120 3 drain", "start"),
            ("130 4 exit 1", "start"),
            ("140 5 drain", "start"),
            ("150 6 exit 1", "give up"),
        ],
        "an exit that is announced is planned: the worker is replaced, and only crashes count.",
    );
    decides(
        "limit 1 1000",
        &[
            ("100 1 drain", "start"),
            ("110 1 drain", "nothing"),
            ("120 1 exit 1", "nothing"),
            ("130 2 kill 9", "start"),
        ],
        "worker 1 has announced its exit, and was replaced then. A second announcement changes \
         nothing, and neither does its exit; the exit of worker 2 is a crash. What do you keep of \
         workers that have announced their exit?",
    );
}

#[test]
fn after_giving_up_it_does_nothing() {
    decides(
        "limit 1 1000",
        &[
            ("100 1 exit 1", "start"),
            ("200 2 exit 1", "give up"),
            ("300 3 exit 1", "nothing"),
            ("400 4 drain", "nothing"),
            ("99000 5 exit 1", "nothing"),
        ],
        "the policy has given up, and the parent exits. Whatever happens then, no worker is \
         started, and to give up once is enough.",
    );
}

#[test]
fn the_time_is_that_of_the_events() {
    decides(
        "limit 1 1000",
        &[
            ("100 1 exit 1", "start"),
            ("3600000 2 exit 1", "start"),
            ("86400000 3 exit 1", "start"),
            ("86400100 4 exit 1", "give up"),
        ],
        "an hour is between the first two crashes, and a day between the next. Do you compare the \
         times of the events, or do you read a clock?",
    );
}

/// A policy that keeps everything and counts again each time: slow, and clearly right.
struct Reference {
    most: usize,
    window: u64,
    restarts: Vec<u64>,
    draining: BTreeSet<u32>,
    given_up: bool,
}

impl Reference {
    fn step(&mut self, now: u64, worker: u32, exits: bool) -> &'static str {
        let known = self.draining.contains(&worker);
        if self.given_up || known {
            return "nothing";
        }
        if !exits {
            self.draining.insert(worker);
            return "start";
        }
        let recent =
            self.restarts.iter().filter(|&&at| now - at < self.window).count();
        if recent >= self.most {
            self.given_up = true;
            return "give up";
        }
        self.restarts.push(now);
        "start"
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

/// A random script, and what should be decided: pairs of lines.
fn random(dice: &mut Dice, length: usize) -> Vec<(String, String)> {
    let (most, window) = (dice.roll(4), 100 * dice.roll(6) as u64);
    let line = format!("limit {most} {window}");
    let mut lines = vec![(line.clone(), line)];
    let (restarts, draining) = (Vec::new(), BTreeSet::new());
    let mut reference =
        Reference { most, window, restarts, draining, given_up: false };
    let mut running: Vec<u32> = (1..10).collect();
    let (mut now, mut next) = (0, 10);
    while lines.len() <= length && !running.is_empty() {
        // Often at the same time, and often just one window later.
        now += [0, 0, 20, 50, 100, 100, 300, 1000][dice.roll(8)];
        let place = dice.roll(running.len());
        let (worker, kind) = (running[place], dice.roll(4));
        let what = ["drain", "exit 0", "exit 1", "kill 9"][kind];
        if kind > 0 {
            running.swap_remove(place);
        }
        let right = reference.step(now, worker, kind > 0);
        let number =
            if right == "start" { format!(" {next}") } else { String::new() };
        if right == "start" {
            running.push(next);
            next += 1;
        }
        lines.push((
            format!("{now} {worker} {what}"),
            format!("{now} {right}{number}"),
        ));
    }
    lines
}

#[test]
fn five_hundred_random_scripts_are_decided_as_a_slow_and_simple_policy_does() {
    let mut dice = Dice(2026);
    // The short ones first: the first that fails is then a short one.
    let scripts: Vec<_> =
        (0..500).map(|number| random(&mut dice, 2 + number / 12)).collect();
    let all: Vec<&str> =
        scripts.iter().flatten().map(|(line, _)| line.as_str()).collect();
    let output = run(&all.join("\n"), Duration::from_secs(10));
    let mut decided = output.stdout.lines();
    for script in &scripts {
        let mut story = String::new();
        for (line, right) in script {
            let says = decided.next().unwrap_or("(no decision)");
            let _ = writeln!(story, "{line:24} {says}");
            assert_eq!(
                says, right,
                "about the last of these events. Count the restarts in the window before it by \
                 hand: which are they?\n{story}\n{}",
                output.stderr
            );
        }
    }
}

#[test]
fn a_long_life_costs_neither_time_nor_memory() {
    let mut script = "limit 5 10000\nquiet\n".to_owned();
    let (mut workers, mut now) = (1.., 0);
    for round in 0..100_000 {
        now += 3000;
        // Two exit, and two are started: the numbers go up one by one.
        let (planned, crashed) =
            (workers.next().unwrap_or(0), workers.next().unwrap_or(0));
        let _ = writeln!(
            script,
            "{now} {planned} drain\n{now} {crashed} exit 1\n{now} {planned} exit 1"
        );
        if round == 1000 {
            script.push_str("count\n");
        }
    }
    script.push_str("count\n");
    let output = run(&script, Duration::from_secs(10));
    let counts: Vec<&str> = output.stdout.lines().skip(1).collect();
    let numbers: BTreeMap<u64, u64> = counts
        .iter()
        .filter_map(|line| line.strip_suffix(" KiB")?.split_once(" started, "))
        .filter_map(|(count, memory)| {
            Some((count.parse().ok()?, memory.parse().ok()?))
        })
        .collect();
    let (Some(before), Some(after)) = (numbers.get(&2002), numbers.get(&200_000))
    else {
        panic!(
            "every 3 s a worker crashes and a worker drains, and five restarts are allowed in \
             10 s: so your policy should not give up, and replace 100,000 of each. Your program \
             says {counts:?}, and should say '2002 started' and '200000 started'.\n{}",
            output.stderr
        );
    };
    assert!(
        after.saturating_sub(*before) < 512,
        "after 2,002 starts the program used {before} KiB of memory, after 200,000 it uses {after} \
         KiB. What does your policy keep of restarts that have left the window, and of workers that \
         have exited?"
    );
}
