//! What your program has to do. `cargo test -p ex09-how-it-ended`

use std::time::Duration;

use testkit::{
    Process, Running, Signal, cpu_time, exercise, try_eventually, zombies_of,
};

/// A line that your program prints: `0x0700 = Exited(7) -> exit(7, null)`.
struct Line {
    status: i32,
    change: String,
    event: String,
}

impl Line {
    fn of(text: &str) -> Option<Line> {
        let (status, rest) = text.strip_prefix("0x")?.split_once(" = ")?;
        let (change, event) = rest.split_once(" -> ")?;
        let status = i32::from_str_radix(status, 16).ok()?;
        Some(Line { status, change: change.to_owned(), event: event.to_owned() })
    }
}

/// What your program says to these arguments: a line for each.
#[track_caller]
fn lines(what: &str, arguments: &[&str]) -> Vec<Line> {
    let output = exercise!().arg(what).args(arguments).output();
    let lines: Vec<Line> = output.stdout.lines().filter_map(Line::of).collect();
    assert!(
        lines.len() == arguments.len(),
        "your program was given {arguments:?}, and should print a line for each. It prints\n{}\n\
         and on standard error\n{}\nWhich function stops it?",
        output.stdout,
        output.stderr
    );
    lines
}

/// Each status should be decoded to what stands beside it.
#[track_caller]
fn decoded(expected: &[(&str, &str)], hint: &str) {
    let statuses: Vec<&str> = expected.iter().map(|(status, _)| *status).collect();
    for (line, (status, change)) in lines("decode", &statuses).iter().zip(expected)
    {
        let said = &line.change;
        assert!(
            said == change,
            "{status} is {change}, and your program says {said}. {hint}"
        );
    }
}

#[test]
fn an_exit_code_is_in_the_second_byte() {
    decoded(
        &[
            ("0x0000", "Exited(0)"),
            ("0x0100", "Exited(1)"),
            ("0x0700", "Exited(7)"),
            ("0xff00", "Exited(255)"),
        ],
        "If a child exits, its code is in bits 8 to 15, from 0 to 255, and the low seven bits \
         are 0. Which of libc's functions ask for that? They have the names of the macros in \
         wait(2).",
    );
}

#[test]
fn a_signal_is_in_the_low_seven_bits_and_the_core_dump_is_the_eighth() {
    decoded(
        &[
            ("0x000f", "Signaled { signal: 15, core: false }"),
            ("0x0009", "Signaled { signal: 9, core: false }"),
            ("0x0086", "Signaled { signal: 6, core: true }"),
            ("0x008b", "Signaled { signal: 11, core: true }"),
        ],
        "The number of the signal has seven bits. The eighth, 0x80, says whether there is a \
         core dump. Do you take it for a part of the number?",
    );
}

#[test]
fn a_stop_is_no_exit() {
    decoded(
        &[
            ("0x137f", "Stopped(19)"),
            ("0x147f", "Stopped(20)"),
            ("0xffff", "Continued"),
        ],
        "If the low seven bits are all ones, 0x7f, that is no signal: the child has not \
         exited. Which question do you ask first, and what does it say to 0x7f?",
    );
    for line in lines("decode", &["0x137f", "0xffff"]) {
        assert!(
            line.event == "no event",
            "{:#06x}: this child has not exited, and Node's `exit` is for one that has. What \
             should `exit_event` return?",
            line.status
        );
    }
}

#[test]
fn a_real_time_signal_is_a_signal_without_a_name() {
    let expected = [
        ("0x0022", "Signaled { signal: 34, core: false }", "exit(null, \"SIG34\")"),
        ("0x0023", "Signaled { signal: 35, core: false }", "exit(null, \"SIG35\")"),
        ("0x0040", "Signaled { signal: 64, core: false }", "exit(null, \"SIG64\")"),
    ];
    let statuses = expected.map(|(status, ..)| status);
    for (line, (status, change, event)) in
        lines("decode", &statuses).iter().zip(expected)
    {
        assert!(
            line.change == change && line.event == event,
            "{status} is {change} and {event}; your program says {} and {}. {NO_NAME}",
            line.change,
            line.event
        );
    }
}

const NO_NAME: &str = "Signals 34 to 64 have no names, only numbers, and nix's Signal has none \
                       of them. What do you do if it does not know one?";

#[test]
fn commands_are_reported_as_node_reports_them() {
    let real_time = nix::libc::SIGRTMIN() + 1;
    let script = format!("kill -{real_time} $$");
    let name = format!("exit(null, \"SIG{real_time}\")");
    let expected = [
        ("exit 0", "exit(0, null)"),
        ("exit 7", "exit(7, null)"),
        ("exit 255", "exit(255, null)"),
        ("kill -TERM $$", "exit(null, \"SIGTERM\")"),
        ("kill -KILL $$", "exit(null, \"SIGKILL\")"),
        ("kill -ABRT $$", "exit(null, \"SIGABRT\")"),
        (&script, &name),
    ];
    let commands = expected.map(|(command, _)| command);
    for (line, (command, event)) in lines("run", &commands).iter().zip(expected) {
        let hint = match command {
            _ if command == script => NO_NAME,
            _ if command.starts_with("exit") => {
                "A child that exits by itself has a code and no signal."
            }
            _ => {
                "A child that a signal has killed has a signal and no code: 128 and the number \
                 is what a *shell* says. Is one of the two None?"
            }
        };
        assert!(
            line.event == event,
            "`{command}` is {event}, and your program says {} (the status was {:#06x}). {hint}",
            line.event,
            line.status
        );
        // Whether there is a dump depends on the machine. The status says it.
        let dumped = line.change.contains("core: true");
        assert!(
            dumped == (line.status & 0x80 != 0),
            "`{command}`: the status was {:#06x}, and you say {}. Which bit says that there is \
             a core dump?",
            line.status,
            line.change
        );
    }
}

/// Runs a command that says "ready" and then waits for a signal.
#[track_caller]
fn with_a_child(more: &[&str]) -> (Running, Process) {
    let program =
        exercise!().args(["run", "echo ready; exec sleep 60"]).args(more).start();
    program.wait_for_line_or(
        "ready",
        "The child says this. Has your program exited before?",
    );
    let child = program.children().into_iter().next();
    let child = child.unwrap_or_else(|| {
        panic!(
            "the child runs, and your program does not wait for it. {}",
            program.describe()
        )
    });
    (program, child)
}

/// How long your program may take to report a change.
const LIMIT: Duration = Duration::from_secs(6);

/// Blocks until your program prints this.
#[track_caller]
fn prints(program: &Running, event: &str, hint: &str) {
    let printed = || program.stdout().contains(event);
    let over = || printed() || program.output_ended();
    try_eventually(LIMIT, || over().then_some(()));
    assert!(
        printed(),
        "your program should print `{event}` within {LIMIT:?}. {hint}\n{}",
        program.describe()
    );
}

#[test]
fn a_stop_and_a_continue_are_reported_when_they_happen() {
    let (program, child) = with_a_child(&[]);
    child.signal(Signal::SIGSTOP);
    prints(
        &program,
        "= Stopped(19) -> no event",
        "The child was sent SIGSTOP. Without a flag, waitpid(2) waits until a child exits: \
         which flag is for a stop?",
    );
    child.signal(Signal::SIGCONT);
    prints(
        &program,
        "= Continued -> no event",
        "The child was stopped, was sent SIGCONT, and continues. Which flag of waitpid(2) is \
         for that?",
    );
    child.signal(Signal::SIGTERM);
    prints(
        &program,
        "-> exit(null, \"SIGTERM\")",
        "The child was stopped, continued, and was killed by SIGTERM. Do you wait again after a \
         stop?",
    );
}

#[test]
fn a_signal_to_the_parent_does_not_end_its_waiting() {
    let (program, child) = with_a_child(&[]);
    // Again and again: one of them arrives while it waits.
    let interrupt = || {
        program.signal(Signal::SIGUSR1);
        None::<()>
    };
    try_eventually(Duration::from_millis(100), interrupt);
    child.signal(Signal::SIGTERM);
    prints(
        &program,
        "-> exit(null, \"SIGTERM\")",
        "Your program was sent SIGUSR1 while it waited, and it has a handler for it \
         (harness.rs). Then waitpid(2) fails with EINTR, which says nothing about the child. \
         What do you do with that?",
    );
    let lines =
        program.stdout().lines().filter(|line| line.starts_with("0x")).count();
    assert!(
        lines == 1,
        "the child has changed once, and your program reports more:\n{}\nWhat is in `status` \
         if waitpid(2) has failed?",
        program.stdout()
    );
}

#[test]
fn waiting_takes_no_processor_time_and_leaves_no_zombie() {
    let (program, child) = with_a_child(&["echo next; exec sleep 60"]);
    let before = cpu_time(program.pid());
    // There is nothing to wait for: this only lets time pass.
    try_eventually(Duration::from_secs(1), || None::<()>);
    let used = cpu_time(program.pid()).saturating_sub(before);
    assert!(
        used < Duration::from_millis(150),
        "your program has waited for 1 s, and has used {used:?} of processor time. Do you ask \
         with WNOHANG, again and again?"
    );
    child.signal(Signal::SIGTERM);
    prints(
        &program,
        "next",
        "Its first child was killed, and the second was not started.",
    );
    let zombies = zombies_of(program.pid());
    assert!(
        zombies.is_empty(),
        "your program (pid {}) has reported how its child {} exited, and that child is still a \
         zombie. Which call reaps it?",
        program.pid(),
        child.pid
    );
}
