//! What your program has to do. `cargo test -p ex09-how-it-ended`

use std::time::Duration;

use testkit::{
    Process, Running, Signal, cpu_time, exercise, try_eventually, zombies_of,
};

/// One line of your program: `0x0700 = Exited(7) -> exit(7, null)`.
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
        "your program was given {arguments:?}, and a line is expected for each. It says\n{}\nand \
         complains:\n{}\nWhich function stops it?",
        output.stdout,
        output.stderr
    );
    lines
}

/// Each status is decoded to what stands beside it.
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
        "A child that exits leaves its code in bits 8 to 15, from 0 to 255, and the low seven bits are \
         0. Which of libc's functions ask that? They are named as the macros in wait(2).",
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
        "The number of the signal has seven bits. The eighth, 0x80, says whether there is a core dump. \
         Do you take it for a part of the number?",
    );
}

#[test]
fn a_real_time_signal_is_a_signal_too() {
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
            "{status} is {change} and {event}; your program says {} and {}. Signals 34 to 64 have no \
             names, only numbers, and nix's Signal has none of them. What do you do when it does not \
             know one?",
            line.change,
            line.event
        );
    }
}

#[test]
fn a_stop_is_no_end() {
    decoded(
        &[
            ("0x137f", "Stopped(19)"),
            ("0x147f", "Stopped(20)"),
            ("0xffff", "Continued"),
        ],
        "Low bits that are all ones, 0x7f, are no signal: such a child has not ended. Which question \
         do you ask first, and what does it say to 0x7f?",
    );
    for line in lines("decode", &["0x137f", "0xffff"]) {
        assert!(
            line.event == "no event",
            "{:#06x}: this child lives on, and Node's `exit` comes when one has ended. What has \
             `exit_event` to return?",
            line.status
        );
    }
}

#[test]
fn real_commands_are_told_as_node_tells_them() {
    let real_time = format!("kill -{} $$", nix::libc::SIGRTMIN() + 1);
    let real_time_name =
        format!("exit(null, \"SIG{}\")", nix::libc::SIGRTMIN() + 1);
    let expected = [
        ("exit 0", "exit(0, null)"),
        ("exit 7", "exit(7, null)"),
        ("exit 255", "exit(255, null)"),
        ("kill -TERM $$", "exit(null, \"SIGTERM\")"),
        ("kill -KILL $$", "exit(null, \"SIGKILL\")"),
        ("kill -ABRT $$", "exit(null, \"SIGABRT\")"),
        (&real_time, &real_time_name),
    ];
    let commands = expected.map(|(command, _)| command);
    for (line, (command, event)) in lines("run", &commands).iter().zip(expected) {
        assert!(
            line.event == event,
            "`{command}` is {event}, and your program says {} (the status was {:#06x}). A child \
             that a signal has ended has no code: 128 and its number is what a *shell* makes of it. \
             Is one of the two None?",
            line.event,
            line.status
        );
        // Whether there is a dump is the machine's choice. The status says it.
        let dumped = line.change.contains("core: true");
        assert!(
            dumped == (line.status & 0x80 != 0),
            "`{command}`: the status was {:#06x}, and you say {}. Which bit tells of a core dump?",
            line.status,
            line.change
        );
    }
}

/// Runs one command that says "ready" and then waits to be signalled.
#[track_caller]
fn with_a_child(more: &[&str]) -> (Running, Process) {
    let program =
        exercise!().args(["run", "echo ready; exec sleep 60"]).args(more).start();
    program.wait_for_line_or(
        "ready",
        "The child says this. Has your program ended before it could?",
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

/// Waits until your program says this of its child.
#[track_caller]
fn hears(program: &Running, event: &str, hint: &str) {
    let said = || program.stdout().contains(event).then_some(true);
    let said_or_ended =
        || said().or_else(|| (!program.process().alive()).then_some(false));
    let heard = match try_eventually(Duration::from_secs(6), said_or_ended) {
        // What it has printed last may be on its way.
        Some(false) => try_eventually(Duration::from_millis(300), said).is_some(),
        heard => heard.is_some(),
    };
    assert!(heard, "{hint}\n{}", program.describe());
}

#[test]
fn a_child_that_stops_and_goes_on_is_told_when_it_does() {
    let (program, child) = with_a_child(&[]);
    child.signal(Signal::SIGSTOP);
    hears(
        &program,
        "= Stopped(19) -> no event",
        "the child was sent SIGSTOP, and waitpid(2) has not returned, or not with this. Without a flag \
         it waits for an end only: which flag is for a stop?",
    );
    child.signal(Signal::SIGCONT);
    hears(
        &program,
        "= Continued -> no event",
        "the child was stopped and has been sent SIGCONT, so it goes on. Which flag of waitpid(2) is \
         for that?",
    );
    child.signal(Signal::SIGTERM);
    hears(
        &program,
        "-> exit(null, \"SIGTERM\")",
        "the child was stopped, went on, and was ended by SIGTERM. Do you wait again after a stop?",
    );
}

#[test]
fn a_signal_to_the_one_who_waits_does_not_end_the_waiting() {
    let (program, child) = with_a_child(&[]);
    // Again and again: one of them comes while it waits.
    let interrupt = || {
        program.signal(Signal::SIGUSR1);
        None::<()>
    };
    try_eventually(Duration::from_millis(100), interrupt);
    child.signal(Signal::SIGTERM);
    hears(
        &program,
        "-> exit(null, \"SIGTERM\")",
        "your program was sent SIGUSR1 while it waited, and it has a handler for it (harness.rs). Then \
         waitpid(2) fails with EINTR, which says nothing of the child. What do you do with that?",
    );
    let told =
        program.stdout().lines().filter(|line| line.starts_with("0x")).count();
    assert!(
        told == 1,
        "one thing has become of the child, and your program tells of more:\n{}\nWhat is in `status` \
         when waitpid(2) has failed?",
        program.stdout()
    );
}

#[test]
fn waiting_takes_no_cpu_time_and_leaves_no_zombie() {
    let (program, child) = with_a_child(&["echo next; exec sleep 60"]);
    let before = cpu_time(program.pid());
    // There is nothing to wait for: this only lets time pass.
    try_eventually(Duration::from_secs(1), || None::<()>);
    let used = cpu_time(program.pid()).saturating_sub(before);
    assert!(
        used < Duration::from_millis(150),
        "in 1 s of waiting your program has used {used:?} of the processor. Do you ask with WNOHANG, \
         again and again?"
    );
    child.signal(Signal::SIGTERM);
    hears(
        &program,
        "next",
        "its first child has ended, and the second was not started.",
    );
    let zombies = zombies_of(program.pid());
    assert!(
        zombies.is_empty(),
        "your program (pid {}) has told how its child {} ended, and that child is a zombie still. Who \
         has to wait for it?",
        program.pid(),
        child.pid
    );
}
