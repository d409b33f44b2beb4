//! What your program has to do. `cargo test -p ex11-escalation`

use std::fs;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use testkit::{
    Process, Running, Signal, cpu_time, exercise, fds, fds_in_words, threads,
    try_eventually, zombies_of,
};

/// SIGTERM ends it, as it ends every program without a handler.
const OBEYS: &str = "echo ready; exec sleep 60";

/// Ignores SIGTERM.
const IGNORES: &str = "trap '' TERM; echo ready; exec sleep 60";

/// Handles SIGTERM, and exits with code 3.
const EXITS_3: &str =
    "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done";

/// Has something to finish: exits with code 3, half a second after SIGTERM.
const FINISHES: &str =
    "trap 'sleep 0.5; exit 3' TERM; echo ready; while true; do sleep 0.1; done";

/// Your program, with children that are ready, and its standard input.
struct Stop {
    program: Running,
    stdin: UnixStream,
}

impl Stop {
    #[track_caller]
    fn of(grace: u64, commands: &[&str]) -> Stop {
        let (stdin, theirs) = UnixStream::pair().expect("a pair of sockets");
        let program = exercise!()
            .arg(grace.to_string())
            .args(commands)
            .stdin(OwnedFd::from(theirs));
        let program = program.start();
        let ready =
            commands.iter().filter(|command| command.contains("ready")).count();
        program.wait_for_lines("ready", ready);
        Stop { program, stdin }
    }

    /// Has it stop its children, which must take no longer than so many seconds. Returns how
    /// each of them has exited.
    #[track_caller]
    fn stop(&self, seconds: u64, hint: &str) -> Vec<String> {
        // If your program has exited, what follows says so.
        let _ = (&self.stdin).write_all(b"stop\n");
        let done = || self.program.stdout().contains(" ms\n");
        // Its children may hold its output open when it has exited.
        let over = || done() || !self.program.process().alive();
        try_eventually(Duration::from_secs(seconds), || over().then_some(()));
        assert!(
            done(),
            "your `stop` should return within {seconds} s. {hint}\n{}",
            self.program.describe()
        );
        let said = self.program.stdout();
        let told = said
            .lines()
            .filter_map(|line| line.strip_prefix("child ")?.split_once(": "));
        told.map(|(_, how)| how.to_owned()).collect()
    }

    /// Like [`stop`](Stop::stop), and they must have exited like this.
    #[track_caller]
    fn stops(&self, expected: &[&str], seconds: u64, hint: &str) {
        let told = self.stop(seconds, hint);
        assert!(
            told == expected,
            "the children should have exited with: {}. You say: {}. {hint}\n{}",
            expected.join(", "),
            told.join(", "),
            self.program.describe()
        );
    }

    /// How long `stop` took.
    fn took(&self) -> Duration {
        let said = self.program.stdout();
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix("stopped in ")?.split(' ').next());
        let milliseconds = line.and_then(|number| number.parse().ok());
        Duration::from_millis(milliseconds.expect("harness.rs prints it"))
    }
}

#[test]
fn a_child_that_exits_ends_the_waiting() {
    let here = Stop::of(8000, &[OBEYS]);
    let hint = "The child exited at once, by SIGTERM, and the grace was 8 s. What wakes you \
                when a child exits?";
    here.stops(&["signal 15"], 4, hint);
}

#[test]
fn a_child_that_has_something_to_finish_gets_the_time() {
    let here = Stop::of(15_000, &[FINISHES]);
    let hint = "This child exits with code 3, half a second after SIGTERM, and the grace was \
                15 s. Is SIGTERM the first signal that you send, and do you wait before the \
                next?";
    here.stops(&["code 3"], 10, hint);
}

#[test]
fn a_child_that_ignores_sigterm_is_killed_after_the_grace() {
    let here = Stop::of(700, &[IGNORES]);
    let hint = "This child ignores SIGTERM, and the grace was 0.7 s. Which signal can no \
                process ignore? And which call reaps the child then?";
    here.stops(&["signal 9"], 6, hint);
    let took = here.took();
    assert!(
        took >= Duration::from_millis(700),
        "the grace was 0.7 s, and the child was killed after {took:?}. It might have exited by \
         itself. When does the grace begin, and what may end the waiting earlier?"
    );
}

#[test]
fn many_children_have_one_grace_together() {
    let mut commands = [IGNORES; 8];
    commands[3] = OBEYS;
    commands[6] = EXITS_3;
    let mut expected = ["signal 9"; 8];
    expected[3] = "signal 15";
    expected[6] = "code 3";
    let here = Stop::of(1200, &commands);
    let hint = "Six of eight children ignore SIGTERM, and the grace was 1.2 s: for all \
                together, not for each. The results are in the order of the children. Do you \
                send SIGTERM to the next child only when the one before has exited? Do you \
                start the clock again for each?";
    here.stops(&expected, 5, hint);
}

#[test]
fn a_child_that_was_stopped_is_continued() {
    let here = Stop::of(1000, &[OBEYS, IGNORES]);
    let children = here.program.children();
    for child in &children {
        child.signal(Signal::SIGSTOP);
        let stopped = try_eventually(Duration::from_secs(5), || {
            is_stopped(child).then_some(())
        });
        stopped.expect("a process that was sent SIGSTOP is stopped");
    }
    let hint = "Both children were stopped, by SIGSTOP. A stopped process does nothing, so \
                SIGTERM does not end it until it continues. Which signal continues it?";
    here.stops(&["signal 15", "signal 9"], 8, hint);
}

/// `T` in ps(1).
fn is_stopped(process: &Process) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid))
        .unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:\tT"))
}

#[test]
fn a_child_that_was_reaped_is_sent_no_signal() {
    let here = Stop::of(1000, &["exit 7", OBEYS, IGNORES]);
    let gone = || (zombies_of(here.program.pid()).len() == 1).then_some(());
    try_eventually(Duration::from_secs(5), gone)
        .expect("the first child exits at once");
    let hint = "The first child had exited before, with code 7, and was a zombie.";
    here.stops(&["code 7", "signal 15", "signal 9"], 6, hint);
    let said = here.program.stdout();
    let failed = said
        .lines()
        .find(|line| line.starts_with("kill(") && !line.ends_with(": ok"));
    assert!(
        failed.is_none(),
        "{}\nThere was no such process: the child had been reaped (try_wait does that too), and \
         then its process id may be given to another process. Is every signal sent before the \
         first wait for that child?\n{said}",
        failed.unwrap_or_default()
    );
}

#[test]
fn the_grace_is_slept_through() {
    let here = Stop::of(1500, &[IGNORES]);
    let pid = here.program.pid();
    let (cpu, woken) = (cpu_time(pid), times_woken(pid));
    here.stop(8, "The child ignores SIGTERM, and the grace was 1.5 s.");
    let (cpu, woken) =
        (cpu_time(pid).saturating_sub(cpu), times_woken(pid) - woken);
    assert!(
        cpu < Duration::from_millis(250),
        "in 1.5 s of grace your program has used {cpu:?} of processor time. Is there a loop that \
         asks whether the child has exited, and asks again?"
    );
    assert!(
        woken < 12,
        "in 1.5 s of grace, in which nothing happened, your program woke up {woken} times. If it \
         asks less often, it learns of an exit later. What can be waited for, with a limit in \
         time, so that an exit wakes it at once?"
    );
}

/// How often the threads of a process have gone to sleep: so often they were woken.
fn times_woken(pid: i32) -> u64 {
    let tasks =
        fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let count = |status: String| {
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<u64>().ok()
    };
    tasks
        .filter_map(|task| {
            count(fs::read_to_string(task.path().join("status")).ok()?)
        })
        .sum()
}

#[test]
fn nothing_is_left() {
    let here = Stop::of(500, &["exit 7", OBEYS, IGNORES]);
    let pid = here.program.pid();
    let before = (fds(pid), threads(pid));
    here.stop(
        6,
        "One child had exited before, one exits at SIGTERM, one ignores it.",
    );
    let left = here.program.descendants();
    assert!(
        left.is_empty(),
        "`stop` has returned, and {} of its children and their children still run. Were they \
         sent SIGKILL?\n{}",
        left.len(),
        here.program.describe()
    );
    let zombies = zombies_of(pid);
    assert!(
        zombies.is_empty(),
        "`stop` has returned, and {} of 3 children are zombies. Each must be waited for once, even \
         after SIGKILL.",
        zombies.len()
    );
    // A thread that has returned takes a moment to disappear.
    let clean = || ((fds(pid), threads(pid)) == before).then_some(());
    let cleaned = try_eventually(Duration::from_secs(2), clean);
    let after = (fds(pid), threads(pid));
    assert!(
        cleaned.is_some(),
        "before `stop` your program had {} thread(s) and these descriptors: {}. 2 s afterwards it \
         has {} thread(s) and these: {}. A server stops children for months. What closes the \
         descriptors that you have opened?",
        before.1,
        fds_in_words(&before.0),
        after.1,
        fds_in_words(&after.0)
    );
}
