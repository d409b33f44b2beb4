//! The steps of the chapter, each a program of its own.

mod common;

use std::{env, thread, time::Duration};

use common::LONG;
use testkit::{
    Process, Program, Running, Signal, TempDir, eventually, temp_dir, zombies_of,
};

/// `cargo test` builds the examples beside the tests.
fn step(name: &str) -> Program {
    let own = env::current_exe().expect("a path");
    let target = own.ancestors().nth(2).expect("target/debug/deps/steps-…");
    let path = target.join("examples").join(name);
    assert!(path.exists(), "no {path:?}: cargo build -p ch04-events --examples");
    Program::new(path)
}

/// A step, with a `sleep` that waits for the test in place of the time: one
/// `sleep 2` exits at each call of [`release`](Slow::release) with 2.
struct Slow {
    released: TempDir,
    step: Running,
}

impl Slow {
    fn start(name: &str) -> Slow {
        let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/programs");
        let path = env::var("PATH").unwrap_or_default();
        let released = temp_dir();
        let step = step(name)
            .env("PATH", format!("{programs}:{path}"))
            .env("RELEASED", released.path())
            .start();
        Slow { released, step }
    }

    fn release(&self, seconds: &str) {
        let file = self.released.write(seconds, "");
        eventually("a sleep takes it", LONG, || !file.exists());
    }

    /// Blocks until `count` children of the step have exited and are not reaped.
    fn wait_for_zombies(&self, count: usize) {
        eventually("children have exited", LONG, || {
            zombies_of(self.step.pid()).len() == count
        });
    }

    /// The lines so far, once there are so many.
    fn lines(&self, count: usize) -> Vec<String> {
        self.step.wait_for_lines("", count)
    }

    fn finish(self) {
        assert!(self.step.wait(LONG).success(), "{}", self.step.stderr());
    }
}

/// The first child takes two seconds. Only then does its parent ask for the others.
#[test]
fn exit_status_waits_for_one_child_after_another() {
    let slow = Slow::start("exit_status");
    slow.wait_for_zombies(3);
    assert_eq!(slow.step.stdout(), "", "the first child runs");
    slow.release("2");
    let lines = slow.lines(4);
    let ends =
        ["code 7, signal null", "signal SIGTERM", "code 1, ", "signal SIGKILL"];
    for (line, end) in lines.iter().zip(ends) {
        assert!(line.contains(end), "{line}");
    }
    slow.finish();
}

#[test]
fn a_signal_before_the_call_interrupts_nothing() {
    // Longer than the parent is busy before it reads.
    let is_reading = Duration::from_millis(450);
    let slow = Slow::start("interrupted");
    let mut before = Vec::new();
    for (exits_after, result) in
        [("1", "Err(EINTR)"), ("1", "Ok(6)"), ("0", "Ok(6)")]
    {
        let mut children = Vec::new();
        eventually("two new children", LONG, || {
            children = slow.step.children();
            children.len() == 2 && !children.iter().any(|it| before.contains(it))
        });
        let before_the_call = exits_after == "0";
        if before_the_call {
            slow.release(exits_after);
            slow.wait_for_zombies(1);
        }
        thread::sleep(is_reading);
        let count = slow.step.stdout().lines().count();
        if !before_the_call {
            slow.release(exits_after);
        }
        // Then the printer still sleeps.
        if result == "Err(EINTR)" {
            slow.lines(count + 2);
        } else {
            slow.wait_for_zombies(1);
        }
        before = children;
        slow.release("2");
        let lines = slow.lines(count + 2);
        let exit = format!("exit after {exits_after} s");
        assert!(lines[count].starts_with(&exit), "{lines:?}");
        let returned = format!("returned {result} after");
        assert!(lines[count + 1].contains(&returned), "{lines:?}");
    }
    assert_eq!(slow.lines(6).len(), 6);
    slow.finish();
}

#[test]
fn self_pipe_reports_every_child_and_the_output() {
    let slow = Slow::start("self_pipe");
    slow.release("0");
    let lines = slow.lines(1);
    assert!(lines[0].ends_with(", 0)"), "the signal before the first poll");
    slow.release("1");
    let lines = slow.lines(3);
    assert_eq!(lines[1], "it printed: hello");
    assert!(lines[2].ends_with(", 7)"), "{lines:?}");
    slow.release("2");
    slow.release("2");
    let lines = slow.lines(5);
    assert!(lines[3].ends_with(", 0)") && lines[4].ends_with(", 0)"), "{lines:?}");
    slow.finish();
}

/// Its children do not notice, but they are soon done.
#[test]
fn a_step_that_is_killed_leaves_nothing() {
    for name in ["exit_status", "interrupted", "self_pipe"] {
        let slow = Slow::start(name);
        eventually("a child", LONG, || !slow.step.children().is_empty());
        let processes = slow.step.processes();
        slow.step.signal(Signal::SIGKILL);
        eventually("all are gone", LONG, || {
            for seconds in ["0", "1", "2"] {
                slow.released.write(seconds, "");
            }
            !processes.iter().any(Process::alive)
        });
    }
}
