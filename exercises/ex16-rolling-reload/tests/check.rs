//! What your policy has to decide. `cargo test -p ex16-rolling-reload`

use std::collections::BTreeSet;
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
             does a step do that takes longer and longer? What do you keep of workers that have \
             exited?",
            script.lines().count()
        );
    };
    Output { status, stdout: program.stdout(), stderr: program.stderr() }
}

/// The actions of a line of output, `ready 3: drain 1, start 4 of generation 2`, in an
/// order of their own: yours does not matter.
fn actions(line: &str) -> Vec<&str> {
    let line = line.split_once(": ").map_or(line, |(_, actions)| actions);
    let mut actions: Vec<&str> = line.split(", ").collect();
    actions.sort_unstable();
    actions
}

/// Lets your policy decide about some events: each is a pair with what it should decide.
#[track_caller]
fn decides(wanted: usize, events: &[(&str, &str)], hint: &str) {
    let mut script = format!("wanted {wanted}");
    for (event, _) in events {
        let _ = write!(script, "\n{event}");
    }
    let output = run(&script, Duration::from_secs(8));
    let mut decided = output.stdout.lines().skip(1);
    let mut story = format!("wanted {wanted}\n");
    for (event, right) in events {
        let none = format!("{event}: (no decision)");
        let line = decided.next().unwrap_or(&none);
        let _ = writeln!(story, "{line}");
        assert!(
            actions(line) == actions(right),
            "about the last of these events, your policy should decide: {right}. It \
             decides:\n{story}\n{hint}\n{}",
            output.stderr
        );
    }
}

#[test]
fn one_worker_is_replaced_after_the_other() {
    decides(
        3,
        &[("reload", "start 4 of generation 2")],
        "One new worker starts, and no worker drains before that one is ready.",
    );
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("ready 3", "drain 1, start 4 of generation 2"),
            ("exit 1", "nothing"),
            ("ready 4", "drain 2, done 2"),
            ("exit 2", "nothing"),
        ],
        "Two workers are wanted. During the reload three are starting or ready, until no worker \
         of generation 1 is left among them. A worker that drains counts no more, and its exit \
         means nothing. Whom does a worker replace when it is ready, and which one is next?",
    );
}

#[test]
fn it_does_not_wait_until_the_old_worker_has_exited() {
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("ready 3", "drain 1, start 4 of generation 2"),
            ("ready 4", "drain 2, done 2"),
            ("reload", "start 5 of generation 3"),
            ("ready 5", "drain 3, start 6 of generation 3"),
        ],
        "A worker that drains may have slow clients, and take minutes. It counts no more, so what \
         does the reload wait for?",
    );
}

#[test]
fn a_reload_that_fails_is_undone() {
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("exit 3", "undone 2"),
            ("reload", "start 4 of generation 3"),
            ("ready 4", "drain 1, start 5 of generation 3"),
        ],
        "Worker 3 exits before it is ready: generation 2 is no good. Generation 1 is current \
         again, and both its workers still run. The next reload has a number that was never used.",
    );
    decides(
        3,
        &[
            ("reload", "start 4 of generation 2"),
            ("ready 4", "drain 1, start 5 of generation 2"),
            ("ready 5", "drain 2, start 6 of generation 2"),
            ("exit 6", "undone 2, start 7 of generation 1"),
            ("ready 7", "drain 4, start 8 of generation 1"),
            ("exit 1", "nothing"),
            ("ready 8", "drain 5"),
            ("exit 4", "nothing"),
        ],
        "Two of three workers were replaced when worker 6 failed. Generation 1 is current again, \
         so workers 4 and 5 are outdated now, although they are ready. Who replaces them, one \
         after the other?",
    );
}

#[test]
fn a_worker_that_is_not_ready_in_time_is_killed_and_the_reload_undone() {
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("late 3", "kill 3, undone 2"),
            ("exit 3", "nothing"),
        ],
        "Worker 3 is not ready in time. It is killed, which undoes the reload; its exit comes \
         later, and means nothing.",
    );
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("ready 3", "drain 1, start 4 of generation 2"),
            ("late 3", "nothing"),
            ("ready 4", "drain 2, done 2"),
            ("late 4", "nothing"),
        ],
        "The time of worker 3 is over just when it has become ready. Does that matter any more?",
    );
    decides(
        2,
        &[
            ("exit 1", "start 3 of generation 1"),
            ("late 3", "kill 3, start 4 of generation 1"),
            ("exit 3", "nothing"),
            ("exit 4", "start 5 of generation 1"),
            ("ready 5", "nothing"),
        ],
        "No reload is under way, so nothing is undone. Worker 3 is killed all the same, and \
         another one starts in its place at once.",
    );
}

#[test]
fn a_worker_that_crashes_is_replaced_even_during_a_reload() {
    decides(
        2,
        &[
            ("exit 2", "start 3 of generation 1"),
            ("ready 3", "nothing"),
            ("exit 1", "start 4 of generation 1"),
        ],
        "Worker 2 was not told to exit, so it is missing, and no reload is under way.",
    );
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("exit 1", "start 4 of generation 2"),
            ("ready 3", "nothing"),
            ("ready 4", "drain 2, done 2"),
        ],
        "Worker 1 crashes while worker 3 is starting. As long as worker 2 is outdated, three are \
         starting or ready, so another one starts, of the current generation. An outdated worker \
         drains only if *more* than two are ready.",
    );
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("ready 3", "drain 1, start 4 of generation 2"),
            ("exit 3", "start 5 of generation 2"),
            ("ready 4", "nothing"),
            ("ready 5", "drain 2, done 2"),
        ],
        "Worker 3 was ready, so its exit is a crash as any other, and undoes nothing.",
    );
    decides(
        1,
        &[
            ("reload", "start 2 of generation 2"),
            ("exit 1", "nothing"),
            ("ready 2", "done 2"),
        ],
        "Worker 1 crashes, so no outdated worker is left, and one worker is enough: worker 2. The \
         reload is done when that one is ready, and not before: it may fail.",
    );
}

#[test]
fn an_outdated_worker_that_is_starting_drains_at_once() {
    decides(
        2,
        &[
            ("exit 1", "start 3 of generation 1"),
            ("reload", "drain 3, start 4 of generation 2, start 5 of generation 2"),
            ("ready 3", "nothing"),
            ("late 3", "nothing"),
            ("exit 3", "nothing"),
            ("ready 4", "nothing"),
            ("ready 5", "drain 2, done 2"),
        ],
        "Worker 3 is of generation 1, and still starting when generation 2 begins: it would be of \
         no use. What it does then means nothing.",
    );
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("exit 2", "start 4 of generation 2"),
            ("late 4", "kill 4, undone 2, drain 3, start 5 of generation 1"),
        ],
        "Worker 3 is of generation 2, and still starting when the reload to generation 2 is \
         undone: it would be of no use.",
    );
}

#[test]
fn a_reload_during_a_reload_is_done_once_and_afterwards() {
    decides(
        1,
        &[
            ("reload", "start 2 of generation 2"),
            ("reload", "nothing"),
            ("reload", "nothing"),
            ("ready 2", "drain 1, done 2, start 3 of generation 3"),
            ("ready 3", "drain 2, done 3"),
        ],
        "Two more reloads were asked for during the first. They wait until it is done, and \
         together they are one: it reads the file as it is then.",
    );
    decides(
        2,
        &[
            ("reload", "start 3 of generation 2"),
            ("ready 3", "drain 1, start 4 of generation 2"),
            ("reload", "nothing"),
            ("late 4", "kill 4, undone 2, start 5 of generation 3"),
            ("exit 5", "undone 3, start 6 of generation 1"),
            ("ready 6", "drain 3"),
        ],
        "A reload was asked for during the first, which is undone: maybe the user has mended the \
         file. So the other one begins. When that fails as well, which generation was current \
         before it began?",
    );
}

/// The same in another way, slow and simple: it keeps all workers for ever, and applies one
/// rule after the other.
struct Reference {
    wanted: usize,
    current: u32,
    newest: u32,
    before: Option<u32>,
    again: bool,
    /// Worker `n` is at `n - 1`: its generation, and what it does.
    workers: Vec<(u32, Life)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Starting,
    Ready,
    /// It drains, or was killed.
    Leaving,
    Gone,
}

impl Reference {
    fn new(wanted: usize) -> Reference {
        Reference {
            wanted,
            current: 1,
            newest: 1,
            before: None,
            again: false,
            workers: vec![(1, Life::Ready); wanted],
        }
    }

    /// The numbers of the workers that do this, and are outdated.
    fn outdated(&self, life: Life) -> Vec<usize> {
        let outdated = |it: &&usize| self.workers[**it - 1].0 != self.current;
        self.all(life).iter().filter(outdated).copied().collect()
    }

    fn all(&self, life: Life) -> Vec<usize> {
        let numbers = 1..=self.workers.len();
        numbers.filter(|number| self.workers[number - 1].1 == life).collect()
    }

    fn step(&mut self, kind: &str, number: usize) -> Vec<String> {
        let mut actions = Vec::new();
        if kind == "reload" {
            self.again = true;
        } else {
            let (generation, life) = self.workers[number - 1];
            let starts = life == Life::Starting;
            let next = match kind {
                "ready" if starts => Life::Ready,
                "late" if starts => Life::Leaving,
                "exit" => Life::Gone,
                _ => life,
            };
            self.workers[number - 1].1 = next;
            if next == Life::Leaving && starts {
                actions.push(format!("kill {number}"));
            }
            let fails = starts && [Life::Leaving, Life::Gone].contains(&next);
            if let Some(before) =
                self.before.filter(|_| fails && generation == self.current)
            {
                actions.push(format!("undone {}", self.current));
                (self.current, self.before) = (before, None);
            }
        }
        while let Some(action) = self.rule() {
            actions.extend(Some(action).filter(|it| !it.is_empty()));
        }
        actions
    }

    /// Applies the first rule that applies.
    fn rule(&mut self) -> Option<String> {
        let (ready, starting) =
            (self.all(Life::Ready).len(), self.all(Life::Starting).len());
        let (old_ready, old_starting) =
            (self.outdated(Life::Ready), self.outdated(Life::Starting));
        let drains = match (old_ready.first(), old_starting.first()) {
            (_, Some(number)) => Some(*number),
            (Some(number), None) if ready > self.wanted => Some(*number),
            _ => None,
        };
        if let Some(number) = drains {
            self.workers[number - 1].1 = Life::Leaving;
            return Some(format!("drain {number}"));
        }
        if self.before.is_some() && old_ready.is_empty() && ready == self.wanted {
            self.before = None;
            return Some(format!("done {}", self.current));
        }
        if self.again && self.before.is_none() {
            (self.again, self.before) = (false, Some(self.current));
            self.newest += 1;
            self.current = self.newest;
            return Some(String::new());
        }
        if ready + starting < self.wanted + usize::from(!old_ready.is_empty()) {
            self.workers.push((self.current, Life::Starting));
            let (number, generation) = (self.workers.len(), self.current);
            return Some(format!("start {number} of generation {generation}"));
        }
        None
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

    fn pick(&mut self, numbers: &[usize]) -> Option<usize> {
        (!numbers.is_empty()).then(|| numbers[self.roll(numbers.len())])
    }
}

/// A random script, and what should be decided: pairs of lines. Without crashes, only
/// workers exit that were told to, or that are not ready.
fn random(dice: &mut Dice, length: usize, crashes: bool) -> Vec<(String, String)> {
    let wanted = 1 + dice.roll(4);
    let line = format!("wanted {wanted}");
    let mut lines = vec![(line.clone(), line)];
    let mut reference = Reference::new(wanted);
    // Each worker is ready once at most, and late once at most.
    let (mut were_ready, mut were_late) = (BTreeSet::new(), BTreeSet::new());
    were_ready.extend(1..=wanted);
    were_late.extend(1..=wanted);
    while lines.len() <= length {
        let (ready, starting) =
            (reference.all(Life::Ready), reference.all(Life::Starting));
        let leaving = reference.all(Life::Leaving);
        let running = [&ready[..], &starting[..], &leaving[..]].concat();
        let never = |known: &BTreeSet<usize>| -> Vec<usize> {
            running.iter().filter(|it| !known.contains(it)).copied().collect()
        };
        let (kind, number) = match dice.roll(12) {
            0 | 1 => ("reload", Some(0)),
            2..7 => ("ready", dice.pick(&never(&were_ready))),
            7 => ("late", dice.pick(&never(&were_late))),
            8 => ("exit", dice.pick(&starting)),
            9 if crashes => ("exit", dice.pick(&ready)),
            _ => ("exit", dice.pick(&leaving)),
        };
        let Some(number) = number else { continue };
        match kind {
            "ready" => were_ready.insert(number),
            "late" => were_late.insert(number),
            _ => false,
        };
        let event = match kind {
            "reload" => kind.to_owned(),
            _ => format!("{kind} {number}"),
        };
        let right = reference.step(kind, number).join(", ");
        let right = if right.is_empty() { "nothing" } else { &right };
        lines.push((event.clone(), format!("{event}: {right}")));
    }
    lines
}

/// Follows what a policy decides, and counts the workers that are ready.
#[derive(Default)]
struct Count {
    wanted: usize,
    ready: BTreeSet<u32>,
    told_to_exit: BTreeSet<u32>,
}

impl Count {
    /// What is wrong after this line of output.
    fn follow(&mut self, line: &str) -> Result<(), String> {
        let (event, decided) = line.split_once(": ").unwrap_or((line, ""));
        let word = |text: &str| text.split(' ').nth(1)?.parse::<u32>().ok();
        match (event.split(' ').next(), word(event)) {
            (Some("wanted"), Some(wanted)) => {
                *self = Count {
                    wanted: wanted as usize,
                    ready: (1..=wanted).collect(),
                    told_to_exit: BTreeSet::new(),
                };
            }
            (Some("ready"), Some(number))
                if !self.told_to_exit.contains(&number) =>
            {
                self.ready.insert(number);
            }
            (Some("exit"), Some(number)) => {
                self.ready.remove(&number);
            }
            _ => {}
        }
        for action in decided.split(", ") {
            if action.starts_with("drain") || action.starts_with("kill") {
                let number = word(action).unwrap_or_default();
                self.ready.remove(&number);
                self.told_to_exit.insert(number);
            }
        }
        let (ready, wanted) = (self.ready.len(), self.wanted);
        if ready >= wanted {
            return Ok(());
        }
        Err(format!(
            "No worker has crashed, {wanted} are wanted, and only {ready} are ready and not told \
             to exit. Whom did the last action make drain, and was its successor ready?"
        ))
    }
}

/// Compares random scripts with the reference.
#[track_caller]
fn compare(crashes: bool) {
    let mut dice = Dice(if crashes { 6 } else { 2026 });
    // The short ones first: the first that fails is then a short one.
    let scripts: Vec<_> =
        (0..300).map(|number| random(&mut dice, 2 + number / 8, crashes)).collect();
    let all: Vec<&str> =
        scripts.iter().flatten().map(|(line, _)| line.as_str()).collect();
    let output = run(&all.join("\n"), Duration::from_secs(10));
    let mut decided = output.stdout.lines();
    for script in &scripts {
        let (mut story, mut count) = (String::new(), Count::default());
        for (event, right) in script {
            let none = format!("{event}: (no decision)");
            let line = decided.next().unwrap_or(&none);
            let _ = writeln!(story, "{line}");
            let counted = if crashes { Ok(()) } else { count.follow(line) };
            if let Err(why) = counted {
                panic!("{why}\n{story}\n{}", output.stderr);
            }
            assert!(
                actions(line) == actions(right),
                "about the last of these events, your policy should decide: {}. Count after it, by \
                 hand: which workers are starting, ready, outdated?\n{story}\n{}",
                right.split_once(": ").map_or("", |(_, right)| right),
                output.stderr
            );
        }
    }
}

#[test]
fn without_crashes_no_fewer_are_ready_than_wanted() {
    compare(false);
}

#[test]
fn three_hundred_random_scripts_are_decided_as_a_slow_and_simple_policy_does() {
    compare(true);
}

#[test]
fn a_long_life_costs_neither_time_nor_memory() {
    let mut script = "wanted 1\nquiet\n".to_owned();
    for worker in 1..=60_000 {
        let next = worker + 1;
        let _ = writeln!(script, "reload\nready {next}\nexit {worker}");
        if worker == 2_000 {
            script.push_str("count\n");
        }
    }
    script.push_str("count\n");
    let output = run(&script, Duration::from_secs(10));
    let counts: Vec<&str> = output.stdout.lines().skip(1).collect();
    let number = |line: Option<&&str>, started: &str| -> Option<u64> {
        let (count, memory) = line?.strip_suffix(" KiB")?.split_once(' ')?;
        let memory = memory.strip_prefix("started, ")?.parse().ok();
        memory.filter(|_| count == started)
    };
    let (Some(before), Some(after)) =
        (number(counts.first(), "2000"), number(counts.last(), "60000"))
    else {
        panic!(
            "one worker is replaced by 60,000 reloads, one after the other. Your program says \
             {counts:?}, and should say '2000 started' and '60000 started'.\n{}",
            output.stderr
        );
    };
    assert!(
        after.saturating_sub(before) < 512,
        "after 2,000 reloads the program used {before} KiB of memory, after 60,000 it uses {after} \
         KiB. What does your policy keep of workers that have exited?"
    );
}
