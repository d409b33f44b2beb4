//! Nothing outlives a test: not when it panics, not when it is killed.

mod common;

use std::net::TcpListener;
use std::time::Duration;

use common::{panic_of, sh};
use testkit::{Process, Program, Running, Signal, assert_all_gone, eventually};

const LONG: Duration = Duration::from_secs(10);
const NOW: Duration = Duration::ZERO;

/// Starts it and waits until its family has that many members.
#[track_caller]
fn family_of(program: Program, members: usize) -> (Running, Vec<Process>) {
    let running = program.start();
    let what = format!("{members} processes");
    eventually(&what, LONG, || running.processes().len() == members);
    // From fork to exec a shell's child still is the shell.
    let begun = |p: &&Process| p.command_line().starts_with("sleep");
    eventually("all have begun", LONG, || {
        running.processes().iter().filter(begun).count() >= members - 1
    });
    let family = running.processes();
    (running, family)
}

#[test]
fn a_test_that_panics_leaves_nothing() {
    let mut family = Vec::new();
    panic_of(|| {
        let (_running, all) = family_of(sh("sleep 1000 & sleep 1000 & wait"), 3);
        family = all;
        panic!("as a failing test does");
    });
    assert_eq!(family.len(), 3);
    assert_all_gone(&family, None, NOW);
}

#[test]
fn whoever_leaves_the_group_is_found() {
    let (running, family) =
        family_of(sh("setsid sleep 1000 & sleep 1000 & wait"), 3);
    drop(running);
    assert_all_gone(&family, None, NOW);
}

#[test]
fn orphans_are_found() {
    // The shell ends at once, so its children become init's; one in a session of its own.
    let (running, family) =
        family_of(sh("setsid sleep 1000 & sleep 1000 & sleep 1000 &"), 3);
    assert!(running.wait(LONG).success());
    assert_eq!(running.children(), [], "they are not its children any more");
    assert_eq!(running.processes().len(), 3, "but of its family");
    drop(running);
    assert_all_gone(&family, None, NOW);
}

#[test]
fn an_orphan_without_the_mark_is_found_in_the_group() {
    let program = sh("env -i /bin/sleep 1000 & read x < /dev/null; exit 0");
    let running = program.start();
    assert!(running.wait(LONG).success());
    let family = running.processes();
    assert_eq!(family.len(), 1, "reaping the leader must not lose its group");
    drop(running);
    assert_all_gone(&family, None, NOW);
}

#[test]
fn stopped_and_stubborn_processes_end_too() {
    let (running, family) =
        family_of(sh("trap '' TERM INT HUP; sleep 1000 & sleep 1000"), 3);
    for process in &family {
        assert!(process.signal(Signal::SIGSTOP));
    }
    drop(running);
    assert_all_gone(&family, None, NOW);
}

#[test]
fn a_family_that_forks_without_end_ends() {
    let running = sh("while :; do sleep 0.05 & sleep 0.01; done").start();
    eventually("a few", LONG, || running.descendants().len() > 2);
    let mark = running.process();
    drop(running);
    assert_all_gone(&[mark], None, NOW);
}

#[test]
fn two_programs_do_not_harm_each_other() {
    let (first, first_family) = family_of(sh("sleep 1000 & wait"), 2);
    let (second, second_family) = family_of(sh("sleep 1000 & wait"), 2);
    drop(first);
    assert_all_gone(&first_family, None, NOW);
    assert_eq!(second.processes(), second_family);
}

#[test]
fn who_is_left_is_named() {
    let (running, family) = family_of(sh("sleep 1000 & wait"), 2);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let text = panic_of(|| {
        assert_all_gone(&family, Some(port), Duration::from_millis(50))
    });
    assert!(
        text.contains(&format!("process {} lives: sleep 1000", family[1].pid)),
        "{text}"
    );
    assert!(text.contains(&format!("port {port} is still taken")), "{text}");
    drop(running);
    drop(listener);
    assert_all_gone(&family, Some(port), LONG);
}

/// Not a test: what the next one starts, and kills.
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
    eventually("its program dies with it", LONG, || !child.alive());
}
