//! What your program has to do. `cargo test -p ex01-wait`

use std::time::Duration;

use testkit::{Running, exercise, try_eventually, zombies_of};

/// Far more than anything here takes, also on a busy machine.
const PLENTY: Duration = Duration::from_secs(5);

/// Runs your program with these commands, until it says that all have ended.
#[track_caller]
fn run_all(commands: &[&str]) -> Running {
    let program = exercise!().args(commands).start();
    let pid = program.pid();
    let end = format!("process {pid}: all have ended");
    let known = || program.stdout().contains(&end) || program.output_ended();
    let known = try_eventually(PLENTY, || known().then_some(()));
    let ends: Vec<String> = program
        .stdout()
        .lines()
        .filter(|it| it.contains("all have"))
        .map(str::to_owned)
        .collect();
    assert!(
        ends.iter().all(|it| *it == end),
        "your program is process {pid}, and other processes have come to its end:\n{ends:#?}\nEach child \
         should become a shell, and never return from your function. What does the child do after fork?"
    );
    assert!(
        known.is_some(),
        "`run_all` should return, and your program say 'all have ended', once these commands have ended: \
         {commands:?}. After {PLENTY:?} it has not. {} children still run, and {} have ended and wait to \
         be reaped. Which child does your program wait for?",
        program.children().len(),
        zombies_of(pid).len(),
    );
    program.wait_for_line(&end);
    program
}

#[test]
fn each_command_is_run_and_its_exit_code_is_told() {
    let program = run_all(&["exit 0", "exit 3", "exit 7"]);
    assert!(
        program.stdout().starts_with("exit 0: 0\nexit 3: 3\nexit 7: 7\n"),
        "three commands have ended, with the codes 0, 3 and 7. Your program says:\n{}\nwaitpid(2) gives a \
         status, and the exit code is in it: which variant of WaitStatus has one?",
        program.stdout()
    );
}

#[test]
fn the_codes_are_in_the_order_of_the_commands() {
    let program = run_all(&["sleep 0.3; exit 1", "exit 2"]);
    assert!(
        program.stdout().starts_with("sleep 0.3; exit 1: 1\nexit 2: 2\n"),
        "the second command ends first, but its code belongs in the second place. Your program \
         says:\n{}\nDo you wait for *any* child (-1), and take them as they come?",
        program.stdout()
    );
}

#[test]
fn they_run_at_the_same_time() {
    // They do not end in the time of a test. So all of them can be seen, however slow the machine is.
    let program = exercise!().args(["sleep 60"; 6]).start();
    let mut most = 0;
    try_eventually(PLENTY, || {
        most = most.max(program.children().len());
        (most >= 6 || program.output_ended()).then_some(())
    });
    assert_eq!(
        most,
        6,
        "six commands that take a minute should run at the same time, and never more than {most} did. \
         Do you wait for one before you start the next?\n{}",
        program.stderr()
    );
}

#[test]
fn no_zombie_is_left() {
    let program = run_all(&["true"; 8]);
    // One that nobody waits for may still be running now; it ends soon.
    let all_ended =
        try_eventually(PLENTY, || program.children().is_empty().then_some(()));
    let zombies = zombies_of(program.pid());
    assert!(
        all_ended.is_some() && zombies.is_empty(),
        "your program (pid {}) says that all have ended. Of its 8 children {} still run, and {} are \
         zombies: nobody has waited for them. One waitpid(2) reaps one child, once that has ended. Who \
         calls it for each of them, and does that call block?",
        program.pid(),
        program.children().len(),
        zombies.len()
    );
}

#[test]
fn a_command_that_is_killed_is_told_as_a_shell_tells_it() {
    let program = run_all(&["kill -9 $$", "kill -15 $$"]);
    assert!(
        program.stdout().starts_with("kill -9 $$: 137\nkill -15 $$: 143\n"),
        "a command that a signal has killed has no exit code. A shell says 128 and the signal's number: \
         137 for signal 9, 143 for signal 15. Your program says:\n{}\nWhich variant of WaitStatus has \
         the signal?",
        program.stdout()
    );
}
