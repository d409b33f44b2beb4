//! What your program has to do. `cargo test -p ex01-wait`

use std::time::Duration;

use testkit::{Running, exercise, try_eventually, zombies_of};

/// Far more time than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

/// Runs your program with these commands, until it says that all children have exited.
#[track_caller]
fn run_all(commands: &[&str]) -> Running {
    let program = exercise!().args(commands).start();
    let pid = program.pid();
    let end = format!("process {pid}: all children have exited");
    let ended = || program.stdout().contains(&end) || program.output_ended();
    let ended = try_eventually(LIMIT, || ended().then_some(()));
    let said = program.stdout();
    let ends: Vec<&str> =
        said.lines().filter(|line| line.contains("all children")).collect();
    assert!(
        ends.iter().all(|line| *line == end),
        "your program is process {pid}, and other processes have reached its end:\n{ends:#?}\n\
         A child should become a shell, and never return from your function. What does the \
         child do after `fork`, and after an `execv` that fails?"
    );
    assert!(
        ended.is_some(),
        "`run_all` should return when these commands have exited: {commands:?}. After {LIMIT:?} \
         it has not. {} children still run, and {} have exited and wait to be reaped. Which \
         child does your program wait for?",
        program.children().len(),
        zombies_of(pid).len(),
    );
    program.wait_for_line(&end);
    program
}

/// The codes that your program prints for these commands.
#[track_caller]
fn codes(program: &Running, commands: &[&str]) -> Vec<i32> {
    let said = program.stdout();
    let code = |command: &&str| {
        let line = said
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{command}: ")))?;
        line.parse().ok()
    };
    let codes: Vec<i32> = commands.iter().filter_map(code).collect();
    assert!(
        codes.len() == commands.len(),
        "`run_all` should return a code for each of {commands:?}. Your program says:\n{said}"
    );
    assert!(
        codes.iter().any(|code| ![2, 127].contains(code)),
        "your codes are {codes:?}. A child in which `execv` has failed exits with 127, and a \
         shell that finds no command with 2 or 127. Which path do you execute? It should be \
         /bin/sh. Which words do you give it? The first is the program's name, `sh`; `-c` and \
         the command follow.\n{}",
        program.stderr()
    );
    codes
}

#[test]
fn each_command_is_run_and_its_exit_code_is_returned() {
    let commands = ["exit 0", "exit 3", "exit 7"];
    assert_eq!(
        codes(&run_all(&commands), &commands),
        [0, 3, 7],
        "three commands have exited with the codes on the right. Yours are on the left. \
         waitpid(2) returns a status, and the exit code is in it: which variant of WaitStatus \
         has one?"
    );
}

#[test]
fn they_run_at_the_same_time() {
    // They run for longer than a test may take. So all of them are seen, however slow the
    // machine is.
    let program = exercise!().args(["sleep 60"; 6]).start();
    let returned = || program.stdout().contains("all children have exited");
    let mut most = 0;
    try_eventually(LIMIT, || {
        // Before the children are counted: when it has returned, all were started.
        let returned = returned();
        most = most.max(program.children().len());
        (most >= 6 || returned || program.output_ended()).then_some(())
    });
    assert!(
        most == 6 || !returned(),
        "six commands that take a minute should run at the same time. But `run_all` has \
         returned already, and at most {most} of them ran at the same time. Did they start? \
         Your program says:\n{}{}",
        program.stdout(),
        program.stderr()
    );
    assert_eq!(
        most,
        6,
        "six commands that take a minute should run at the same time. In {LIMIT:?} there were \
         never more than {most}. Do you wait for one before you start the next?\n{}",
        program.stderr()
    );
}

#[test]
fn the_codes_are_in_the_order_of_the_commands() {
    let commands = ["sleep 0.3; exit 1", "exit 2"];
    assert_eq!(
        codes(&run_all(&commands), &commands),
        [1, 2],
        "the second command exits first, but its code belongs in the second place. Your codes \
         are on the left. Do you wait for *any* child (-1), and take the codes as they arrive?"
    );
}

#[test]
fn a_command_that_is_killed_counts_as_128_and_its_signal() {
    let commands = ["kill -9 $$", "kill -15 $$"];
    assert_eq!(
        codes(&run_all(&commands), &commands),
        [137, 143],
        "a command that a signal has killed has no exit code. A shell says 128 and the \
         signal's number: 137 for signal 9, 143 for signal 15. Your codes are on the left. \
         Which variant of WaitStatus has the signal?"
    );
}

#[test]
fn no_zombie_is_left() {
    let program = run_all(&["true"; 8]);
    // A child that was not waited for may still run now; it exits soon.
    let all_exited = || program.children().is_empty().then_some(());
    let all_exited = try_eventually(LIMIT, all_exited);
    let zombies = zombies_of(program.pid());
    assert!(
        all_exited.is_some() && zombies.is_empty(),
        "your program (pid {}) says that all 8 children have exited. {} still run after \
         {LIMIT:?}, and {} are zombies: they were not waited for. One waitpid(2) reaps one \
         child, once that has exited. Is it called for each child, and does it block?",
        program.pid(),
        program.children().len(),
        zombies.len()
    );
}

#[test]
fn a_command_that_cannot_be_executed_counts_as_127() {
    let commands = ["--too-long", "exit 3"];
    let program = run_all(&commands);
    let said = program.stdout();
    assert_eq!(
        said.matches("begin").count(),
        1,
        "the first command is too long, so `execv` fails in its child. After that, `begin, ` \
         was printed more than once:\n{said}\nThat text was in a buffer of your program, and the \
         child has a copy of the buffer. How does the child exit? std::process::exit prints \
         what is in buffers, and a panic ends like it; nix::libc::_exit prints nothing."
    );
    assert_eq!(
        codes(&program, &commands),
        [127, 3],
        "the first command is too long, so `execv` fails in its child, which should exit with \
         127. Your codes are on the left. What does the child do when `execv` returns?"
    );
}
