//! Signals by number and by name.

mod common;

use common::{
    DISCONNECT, SPAWN, assert_events, bash, killed, message, program, watch,
};
use testkit::Program;

#[test]
fn the_table_agrees_with_kill_l() {
    let shell = Program::new("bash").args(["-c", "kill -l"]).output();
    // ` 1) SIGHUP  2) SIGINT …`
    let words: Vec<&str> = shell.stdout.split_whitespace().collect();
    let expected: Vec<(&str, &str)> = words
        .chunks(2)
        .map(|pair| (pair[0].trim_end_matches(')'), pair[1]))
        .collect();
    assert!(expected.len() > 60, "kill -l says {}", shell.stdout);

    let output = program().arg("signals").output();
    let lines = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let table: Vec<Vec<&str>> = lines.collect();
    let seen: Vec<(&str, &str)> =
        table.iter().map(|fields| (fields[0], fields[1])).collect();
    assert_eq!(seen, expected);
    assert!(
        table.iter().all(|fields| fields.len() > 2),
        "each has a default action"
    );
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), ""));
}

#[test]
fn the_table_knows_what_each_signal_does() {
    let output = program().arg("signals").output();
    for (number, name, action) in [
        (9, "SIGKILL", "terminates "),
        (11, "SIGSEGV", "terminates, core dump"),
        (17, "SIGCHLD", "ignored"),
        (18, "SIGCONT", "continues"),
        (19, "SIGSTOP", "stops"),
        (34, "SIGRTMIN", "terminates "),
    ] {
        let begins = format!("{number:2}  {name:11}  {action}");
        let found = output.stdout.lines().any(|line| line.starts_with(&begins));
        assert!(found, "no line begins with '{begins}'\n{}", output.stdout);
    }
}

#[test]
fn a_signal_has_many_names() {
    for name in ["SIGTERM", "TERM", "15", "sigterm", "term"] {
        let output =
            watch(&["--kill", name], bash("say 1; read -r x <&$fd")).output();
        let [exit, close] = killed("SIGTERM");
        assert_events(&output, [SPAWN, &message("1"), DISCONNECT, &exit, &close]);
    }
}

#[test]
fn a_wrong_command_line_shows_how_it_is_right() {
    for (arguments, complains) in [
        (&["watch"][..], "watch needs a program to run, after '--'"),
        (&["watch", "--"], "watch needs a program to run, after '--'"),
        (
            &["watch", "--kill", "NONSENSE", "--", "true"],
            "there is no signal 'NONSENSE'",
        ),
        (&["watch", "--kill", "0", "--", "true"], "there is no signal '0'"),
        (&["watch", "--kill", "-9", "--", "true"], "there is no signal '-9'"),
        (&["watch", "--kill", "99", "--", "true"], "there is no signal '99'"),
        (&["watch", "--kill", "", "--", "true"], "there is no signal ''"),
        (&["watch", "--kill"], "--kill"),
        (
            &["watch", "--after", "soon", "--", "true"],
            "--after takes a number from 0 to",
        ),
        (&["watch", "--after", "-1", "--", "true"], "--after"),
        (&["watch", "--nonsense", "--", "true"], "unknown flag '--nonsense'"),
        (&["signals", "all"], "unknown argument 'all'"),
        (&["worker", "one", "two"], "unknown argument 'two'"),
        (&["--port", "0"], "unknown flag '--port'"),
        (&["nonsense"], "unknown argument 'nonsense'"),
        (&["--exec"], "--exec needs a program to run"),
    ] {
        let output = program().args(arguments).output();
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            output.stderr
        );
        let first = output.stderr.lines().next().unwrap_or_default();
        assert!(first.contains(complains), "{arguments:?}: {first}");
        assert!(output.stderr.contains("Usage: ch04-events"), "{arguments:?}");
        assert_eq!(output.stdout, "", "{arguments:?}");
    }
}

#[test]
fn help_is_no_failure() {
    let output = program().arg("--help").output();
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), ""));
    assert!(output.stdout.contains("Usage: ch04-events"), "{}", output.stdout);
}

#[test]
fn a_worker_without_a_channel_says_so() {
    let output = program().arg("worker").env_remove("NODE_CHANNEL_FD").output();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stderr.starts_with("a worker is started by its parent"),
        "{}",
        output.stderr
    );
    assert_eq!(output.stderr.lines().count(), 1);
}
