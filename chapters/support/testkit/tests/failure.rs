//! A failed test of an exercise prints its message and nothing else, even with
//! `RUST_BACKTRACE=1`.

use std::time::Duration;

use testkit::{Output, Program, exercise_program, try_eventually};

/// Not a test: the tests below run it, and it fails.
#[test]
#[ignore = "the tests below run it"]
fn victim() {
    let program = exercise_program("student").args(["-c", SCRIPT.trim()]).start();
    program.wait_for_line("solved");
}

/// Not a test either: the same in an exercise with a number.
#[test]
#[ignore = "a test below runs it"]
fn victim_with_a_number() {
    let program = exercise_program("ex12-student");
    let program = program.args(["-c", SCRIPT.trim()]).start();
    program.wait_for_line("solved");
}

/// Not a test either: its program is killed when the time is up.
#[test]
#[ignore = "a test below runs it"]
fn victim_of_the_limit() {
    let program =
        exercise_program("student").args(["-c", "exec sleep 300"]).start();
    let status = try_eventually(Duration::from_secs(60), || program.try_wait());
    assert!(status.is_some(), "it should exit");
}

/// As a Rust program that panics, `$PANIC` being its message.
const SCRIPT: &str = r#"
echo so far
echo "
thread 'main' (7) panicked at src/solution.rs:6:5:
$PANIC
backtrace: ${RUST_BACKTRACE-none} ${RUST_LIB_BACKTRACE-none}" >&2
exit 101
"#;

/// Runs these tests in a folder where `bash` is the student's program.
fn run(victim: &str, variables: &[(&str, &str)]) -> Output {
    let dir = testkit::temp_dir();
    let deps = dir.path().join("deps");
    std::fs::create_dir(&deps).expect("a new folder");
    let this = std::env::current_exe().expect("these tests");
    std::fs::copy(this, deps.join("tests")).expect("a copy of these tests");
    for name in ["student", "ex12-student"] {
        std::fs::copy("/bin/bash", dir.path().join(name)).expect("a program");
    }
    let tests = Program::new(deps.join("tests"));
    let mut tests = tests.args(["--exact", victim, "--ignored"]);
    for (name, value) in variables {
        tests = tests.env(name, value);
    }
    tests.output()
}

fn run_with_panic(panic: &str, backtrace: &str) -> Output {
    let variables = [
        ("PANIC", panic),
        ("RUST_BACKTRACE", backtrace),
        ("RUST_LIB_BACKTRACE", "1"),
    ];
    run("victim", &variables)
}

/// What the test harness shows of the failed test.
fn message(output: &Output) -> String {
    let text = &output.stdout;
    let (_, text) = text.split_once(" stdout ----\n").expect("it fails");
    text.split("\n\nfailures:").next().unwrap_or_default().trim().to_owned()
}

#[test]
fn without_backtraces() {
    let message = message(&run_with_panic("index out of bounds", "1"));
    let (first, rest) = message.split_once(":\n").expect("std's first line");
    assert!(first.starts_with("thread 'victim' panicked at "), "{first}");
    assert!(first.contains("tests/failure.rs:"), "{first}");
    assert!(rest.starts_with("the program's stdout should have"), "{rest}");
    assert!(rest.contains("index out of bounds\nbacktrace: none none"), "{rest}");
    assert!(rest.ends_with("\n---"), "{rest}");
}

#[test]
fn a_program_that_is_not_written_yet_is_the_message() {
    let message =
        message(&run_with_panic("not yet implemented: fork a child", "1"));
    let (_, rest) = message.split_once(":\n").expect("std's first line");
    assert_eq!(rest, "not yet implemented: fork a child\n(src/solution.rs:6:5)");
}

#[test]
fn the_lab_is_named_once_the_program_is_begun() {
    let hint =
        "note: see what its processes do: cargo run -p classroom -- lab ex12";
    let with_panic = |text| run("victim_with_a_number", &[("PANIC", text)]);
    let begun = message(&with_panic("index out of bounds"));
    assert_eq!(begun.lines().last(), Some(hint), "{begun}");
    let not_begun = message(&with_panic("not yet implemented: fork a child"));
    assert!(!not_begun.contains(hint), "{not_begun}");
}

#[test]
fn a_backtrace_if_it_is_asked_for_in_full() {
    let message = message(&run_with_panic("index out of bounds", "full"));
    assert!(message.contains("stack backtrace:"), "{message}");
}

#[test]
fn that_the_time_is_up_stands_below_the_words_of_the_test() {
    let message = message(&run("victim_of_the_limit", &[("TEST_SECONDS", "0.3")]));
    let (_, rest) = message.split_once(":\n").expect("std's first line");
    let (words, limit) = rest.split_once('\n').expect("two lines");
    assert_eq!(words, "it should exit");
    let expected = "The time is up: all tests together may take 0.3 s";
    assert!(limit.starts_with(expected), "{limit}");
}
