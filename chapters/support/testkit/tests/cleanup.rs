//! Nothing outlives a test, even if it panics or is killed.

mod common;

use std::net::TcpListener;
use std::time::Duration;

use common::{panic_of, sh};
use testkit::{Process, Program, Running, Signal, assert_all_gone, eventually};

const LONG: Duration = Duration::from_secs(10);
const NOW: Duration = Duration::ZERO;

/// Starts it and waits until there are that many processes.
#[track_caller]
fn start(program: Program, count: usize) -> (Running, Vec<Process>) {
    let running = program.start();
    let what = format!("{count} processes");
    eventually(&what, LONG, || running.processes().len() == count);
    // From fork to exec a shell's child still is the shell.
    let has_begun = |p: &&Process| p.command_line().starts_with("sleep");
    eventually("all have begun", LONG, || {
        running.processes().iter().filter(has_begun).count() >= count - 1
    });
    let processes = running.processes();
    (running, processes)
}

#[test]
fn a_test_that_panics_leaves_nothing() {
    let mut processes = Vec::new();
    panic_of(|| {
        let (_running, all) = start(sh("sleep 1000 & sleep 1000 & wait"), 3);
        processes = all;
        panic!("as a failing test does");
    });
    assert_eq!(processes.len(), 3);
    assert_all_gone(&processes, None, NOW);
}

#[test]
fn a_process_that_leaves_the_group_is_found() {
    let (running, processes) =
        start(sh("setsid sleep 1000 & sleep 1000 & wait"), 3);
    drop(running);
    assert_all_gone(&processes, None, NOW);
}

#[test]
fn orphans_are_found() {
    // The shell exits at once, so its children become init's; one in a session of
    // its own.
    let (running, processes) =
        start(sh("setsid sleep 1000 & sleep 1000 & sleep 1000 &"), 3);
    assert!(running.wait(LONG).success());
    assert_eq!(running.children(), [], "they are no longer its children");
    assert_eq!(running.processes().len(), 3, "but still of its tree");
    drop(running);
    assert_all_gone(&processes, None, NOW);
}

#[test]
fn an_orphan_without_the_mark_is_found_in_the_group() {
    let program = sh("env -i /bin/sleep 1000 & read x < /dev/null; exit 0");
    let running = program.start();
    assert!(running.wait(LONG).success());
    let processes = running.processes();
    assert_eq!(processes.len(), 1, "reaping the leader must not lose its group");
    drop(running);
    assert_all_gone(&processes, None, NOW);
}

#[test]
fn stopped_processes_and_those_that_ignore_signals_are_killed() {
    let (running, processes) =
        start(sh("trap '' TERM INT HUP; sleep 1000 & sleep 1000"), 3);
    for process in &processes {
        assert!(process.signal(Signal::SIGSTOP));
    }
    drop(running);
    assert_all_gone(&processes, None, NOW);
}

#[test]
fn a_program_that_forks_without_end_is_killed() {
    let running = sh("while :; do sleep 0.05 & sleep 0.01; done").start();
    eventually("a few", LONG, || running.descendants().len() > 2);
    let leader = running.process();
    drop(running);
    assert_all_gone(&[leader], None, NOW);
}

#[test]
fn dropping_one_program_leaves_the_other_alone() {
    let (first, first_processes) = start(sh("sleep 1000 & wait"), 2);
    let (second, second_processes) = start(sh("sleep 1000 & wait"), 2);
    drop(first);
    assert_all_gone(&first_processes, None, NOW);
    assert_eq!(second.processes(), second_processes);
}

#[test]
fn what_is_left_is_named() {
    let (running, processes) = start(sh("sleep 1000 & wait"), 2);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let text = panic_of(|| {
        assert_all_gone(&processes, Some(port), Duration::from_millis(50))
    });
    assert!(
        text.contains(&format!(
            "process {} is alive: sleep 1000",
            processes[1].pid
        )),
        "{text}"
    );
    assert!(text.contains(&format!("port {port} is still taken")), "{text}");
    drop(running);
    drop(listener);
    assert_all_gone(&processes, Some(port), LONG);
}

/// Not a test: the next test starts it, and kills it.
#[test]
#[ignore = "the test below runs it"]
fn victim() {
    let program = sh("echo up; exec sleep 1000").start();
    program.wait_for_line("up");
    println!("pid is {}", program.pid());
    program.wait(LONG * 10);
}

#[test]
fn a_test_process_that_is_killed_leaves_nothing() {
    let this = std::env::current_exe().expect("this program");
    let arguments = ["--exact", "victim", "--ignored", "--nocapture"];
    let tests = Program::new(this).args(arguments).start();
    let pid = testkit::pid_in(&tests.wait_for_line("pid is ")).expect("a pid");
    let child = Process::of(pid).expect("its program");
    tests.signal(Signal::SIGKILL);
    tests.wait(LONG);
    eventually("its program is killed with it", LONG, || !child.alive());
}
