//! What your timers have to find, and when. `cargo test -p ex19-timers`

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;

use testkit::{Output, exercise, temp_dir};

/// How late a time-out may be, in milliseconds.
const TICK: u64 = 100;

/// Runs your program with this script on its standard input, to its end.
#[track_caller]
fn run(script: &str) -> Output {
    let dir = temp_dir();
    let file = File::open(dir.write("script", script)).expect("the script");
    exercise!().stdin(file).output()
}

/// The connections in a line of output, `900 timed out: 1 2`.
fn found(line: &str) -> Vec<u32> {
    let words = line.split_once(": ").map_or("", |(_, words)| words);
    let mut found: Vec<u32> =
        words.split(' ').filter_map(|word| word.parse().ok()).collect();
    found.sort_unstable();
    found
}

fn in_words(connections: &[u32]) -> String {
    let words: Vec<String> = connections.iter().map(ToString::to_string).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

/// Plays a script. A question may have its answer behind a colon: `900 ask: 1 2`.
#[track_caller]
fn finds(script: &str, hint: &str) {
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let asked: Vec<&str> =
        lines.iter().map(|it| it.split(':').next().unwrap_or(it)).collect();
    let output = run(&asked.join("\n"));
    let mut said = output.stdout.lines();
    let mut story = String::new();
    for (line, asked) in lines.iter().zip(asked) {
        let _ = writeln!(story, "{asked}");
        if line.starts_with("new") {
            said.next();
        }
        let Some((_, right)) = line.split_once(": ") else { continue };
        let says = said.next().unwrap_or("(no answer)");
        let _ = writeln!(story, "  {says}");
        let mut right: Vec<u32> =
            right.split(' ').filter_map(|word| word.parse().ok()).collect();
        right.sort_unstable();
        assert!(
            says.contains("timed out: ") && found(says) == right,
            "to the last question the answer should be: {}\n{story}\n{hint}\n{}",
            in_words(&right),
            output.stderr
        );
    }
}

#[test]
fn a_connection_times_out_once_and_not_before_its_time() {
    finds(
        "new
         100 set 1 1000
         500 ask: none
         1000 ask: none
         1099 ask: none
         1200 ask: 1
         1300 ask: none
         9000 ask: none",
        "The time-out of connection 1 is at 1100 ms. Before that it has not timed out; a tick after \
         that it has; and it is returned once.",
    );
}

#[test]
fn each_request_sets_the_time_out_anew() {
    finds(
        "new
         0 set 1 1000
         900 set 1 1000
         1800 set 1 1000
         2700 ask: none
         2799 ask: none
         2900 ask: 1
         5000 ask: none",
        "Connection 1 had its last request at 1800 ms. The time-outs that were set before do not \
         count any more.",
    );
    finds(
        "new
         0 set 1 60000
         1000 set 1 500
         1400 ask: none
         1600 ask: 1
         60100 ask: none",
        "A new time-out can be earlier than the one before: connection 1 was idle and had a minute, \
         and now it has half a second to send the rest of its request.",
    );
}

#[test]
fn a_connection_that_is_closed_has_no_time_out() {
    finds(
        "new
         0 set 1 1000
         0 set 2 1000
         500 cancel 1
         500 cancel 9
         1100 ask: 2
         2000 ask: none",
        "Connection 1 was closed at 500 ms. Connection 9 never had a time-out.",
    );
    finds(
        "new
         0 set 1 1000
         500 cancel 1
         600 set 1 1000
         1200 ask: none
         1599 ask: none
         1700 ask: 1",
        "Connection 1 was closed, and a new connection has its number. Its time-out is at 1600 ms.",
    );
    finds(
        "new
         0 set 1 1000
         1100 ask: 1
         1100 set 1 1000
         2000 ask: none
         2200 ask: 1",
        "Connection 1 has timed out, and later a new connection has its number.",
    );
}

#[test]
fn many_may_time_out_at_once_and_a_loop_may_be_late() {
    finds(
        "new
         0 set 1 100
         0 set 2 200
         0 set 3 60000
         0 set 4 300
         50 ask: none
         900 ask: 1 2 4
         59999 ask: none
         60100 ask: 3",
        "The loop was busy, and asks only at 900 ms. Everything that was due before is due now.",
    );
    finds(
        "new
         0 set 1 100
         0 set 2 86400000
         86500000 ask: 1 2",
        "The process was stopped for a day (SIGSTOP).",
    );
}

#[test]
fn the_loop_is_told_when_to_look() {
    let output = run("new\n0 next\n0 set 1 1000\n0 next\n500 cancel 1\n500 next");
    let says: Vec<&str> = output.stdout.lines().collect();
    let next = |line: usize| says.get(line).and_then(|it| it.split(": ").nth(1));
    assert!(
        next(1) == Some("none"),
        "without a time-out the loop should be told 'none', and wait for ever\n{}\n{}",
        output.stdout,
        output.stderr
    );
    let first = next(2).and_then(|it| it.parse::<u64>().ok());
    assert!(
        first.is_some_and(|at| at <= 1000 + TICK),
        "the first time-out is at 1000 ms, so the loop must look at {} ms at the latest\n{}\n{}",
        1000 + TICK,
        output.stdout,
        output.stderr
    );
}

/// A loop that looks only when it is told to.
#[test]
fn a_loop_that_looks_when_it_must_finds_each_in_time() {
    let script = "new\n0 set 1 1000\n0 set 2 5000\n0 set 3 30000\n0 set 4 30000\n\
                  0 loop 40000";
    let output = run(script);
    let line = output.stdout.lines().nth(1).unwrap_or("(no answer)").to_owned();
    let times: BTreeMap<u32, u64> = line
        .split_once("timed out: ")
        .map_or("", |(_, found)| found)
        .split(", ")
        .filter_map(|it| {
            let (connection, at) = it.split_once(" at ")?;
            Some((connection.parse().ok()?, at.parse().ok()?))
        })
        .collect();
    for (connection, due) in [(1, 1000), (2, 5000), (3, 30_000), (4, 30_000)] {
        let at = times.get(&connection);
        assert!(
            at.is_some_and(|at| (due..=due + TICK + 1).contains(at)),
            "connection {connection} times out at {due} ms. The loop looked whenever your 'next' \
             said so. When did it find it?\n{script}\n{line}\n{}",
            output.stderr
        );
    }
    let looks = line.split(['s', ',']).nth(1).and_then(|it| it.strip_prefix(": "));
    let looks: u32 = looks.and_then(|it| it.parse().ok()).unwrap_or(u32::MAX);
    assert!(
        looks <= 420,
        "in 40 s there are 400 ticks. A loop that looks more often than that uses the CPU for \
         nothing. How often does 'next' let it look?\n{script}\n{line}\n{}",
        output.stderr
    );
}

/// Random numbers that are the same in every run (Knuth's linear congruential generator).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % below
    }
}

/// The same in another way, slow and simple: a list of all connections and their times.
#[test]
fn two_hundred_random_scripts_are_answered_as_a_slow_and_simple_list_does() {
    let mut dice = Dice(2026);
    let mut script = String::new();
    let mut scripts = Vec::new();
    for number in 0..200 {
        let mut lines = vec!["new".to_owned()];
        let mut now = 0;
        for _ in 0..5 + number / 2 {
            now += [0, 1, 30, 100, 100, 400, 3000][dice.roll(7) as usize];
            let connection = dice.roll(6);
            lines.push(match dice.roll(6) {
                0 => format!("{now} cancel {connection}"),
                1..3 => {
                    let after =
                        [0, 50, 100, 150, 1000, 10_000][dice.roll(6) as usize];
                    format!("{now} set {connection} {after}")
                }
                _ => format!("{now} ask"),
            });
        }
        let _ = writeln!(script, "{}", lines.join("\n"));
        scripts.push(lines);
    }
    let output = run(&script);
    let mut said = output.stdout.lines();
    for lines in &scripts {
        let (mut due, mut story) = (BTreeMap::new(), String::new());
        for line in lines {
            let _ = writeln!(story, "{line}");
            let words: Vec<&str> = line.split(' ').collect();
            let number = |index: usize| words[index].parse::<u64>().unwrap_or(0);
            match words.get(1) {
                Some(&"set") => {
                    due.insert(number(2) as u32, number(0) + number(3));
                }
                Some(&"cancel") => {
                    due.remove(&(number(2) as u32));
                }
                Some(_) => {
                    let says = said.next().unwrap_or("(no answer)");
                    let _ = writeln!(story, "  {says}");
                    let found = found(says);
                    let now = number(0);
                    let early: Vec<u32> = found
                        .iter()
                        .copied()
                        .filter(|it| due.get(it).is_none_or(|&due| now < due))
                        .collect();
                    assert!(
                        early.is_empty(),
                        "not due at the last question: {}. When was its time-out set last?\n\
                         {story}\n{}",
                        in_words(&early),
                        output.stderr
                    );
                    due.retain(|connection, _| !found.contains(connection));
                    let late: Vec<u32> = due
                        .iter()
                        .filter(|(_, due)| **due + TICK <= now)
                        .map(|(&connection, _)| connection)
                        .collect();
                    assert!(
                        late.is_empty(),
                        "missing at the last question, although it was due a tick before: {}\n\
                         {story}\n{}",
                        in_words(&late),
                        output.stderr
                    );
                }
                None => {
                    said.next();
                }
            }
        }
    }
}

/// What `measure` says: nanoseconds for each request, and KiB.
#[track_caller]
fn measured(connections: u32, times: u32) -> (u64, u64, String) {
    let output = run(&format!("measure {connections} {times}"));
    let numbers: Vec<u64> = output
        .stdout
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert!(numbers.len() == 2, "nothing was measured\n{}", output.stderr);
    (numbers[0], numbers[1], output.stdout.trim().to_owned())
}

#[test]
fn a_request_costs_the_same_with_ten_and_with_ten_thousand_connections() {
    let (few, _, _) = measured(10, 20_000);
    let (many, _, says) = measured(10_000, 20_000);
    // A list that is searched is some thousand times slower, a tree two or three times.
    assert!(
        many < 1_000 + 60 * few.max(20),
        "with 10 connections 'set' takes {few} ns, and with 10,000 it takes {many} ns ({says}). What \
         does it look at?"
    );
}

#[test]
fn time_outs_that_were_set_anew_take_no_memory() {
    let (_, kib, says) = measured(100, 1_000_000);
    assert!(
        kib < 8_000,
        "100 connections had a million requests ({says}). What becomes of the time-outs that do not \
         count any more?"
    );
}
