//! The chapter's program, judged from outside.

mod common;

use std::time::Duration;

use common::{LONG, program};
use testkit::{Output, Signal, assert_all_gone, temp_dir};

/// The process number behind `word` in a line.
#[track_caller]
fn number_after(text: &str, word: &str) -> i32 {
    let rest = &text[text
        .find(word)
        .unwrap_or_else(|| panic!("{word:?} is not in {text:?}"))..];
    let digits: String =
        rest[word.len()..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

/// One line on standard error, and nothing else.
#[track_caller]
fn assert_complaint(output: &Output, code: i32, line: &str) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    assert_eq!(
        output.stderr,
        format!("{line}\n"),
        "one line that says what and why: {output:?}"
    );
}

#[test]
fn both_children_are_greeted_answer_and_end() {
    let output = program().output();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(output.stderr, "");
    let text = &output.stdout;
    let parent = number_after(text, "parent ");
    let mut pids = Vec::new();
    for how in ["fork", "fork + exec"] {
        let sent = text
            .lines()
            .find(|l| l.contains(": to ") && l.contains(&format!("\"{how}\"")));
        let pid = number_after(
            sent.unwrap_or_else(|| panic!("no greeting to {how}\n{text}")),
            "to ",
        );
        pids.push(pid);
        let greeting =
            format!("{{\"hello\":\"child {pid}\",\"made by\":\"{how}\"}}");
        for line in [
            format!("parent {parent}: to {pid}: {greeting}"),
            format!("child  {pid}: received {greeting}"),
            format!("parent {parent}: from {pid}: {greeting}"),
            format!("parent {parent}: child {pid} exited with code 0"),
        ] {
            assert_eq!(
                text.matches(&line).count(),
                1,
                "once: {line:?}, in\n{text}"
            );
        }
    }
    assert_ne!(pids[0], pids[1]);
    assert!(!pids.contains(&parent), "a child is another process\n{text}");
    assert_eq!(text.lines().count(), 9, "and nothing is printed twice\n{text}");
}

#[test]
fn a_program_that_is_not_there_is_named() {
    // execvp(3) says `Permission denied` where it may not even look into a place in PATH.
    let output =
        program().env("PATH", "/usr/bin:/bin").args(["--exec", "nosuch"]).output();
    assert_complaint(&output, 1, "cannot start nosuch: No such file or directory");
}

#[test]
fn a_file_that_may_not_be_executed_is_named() {
    let dir = temp_dir();
    let file = dir.write("text", "no program");
    let output = program().arg("--exec").arg(&file).output();
    let line = format!("cannot start {}: Permission denied", file.display());
    assert_complaint(&output, 1, &line);
}

#[test]
fn a_child_that_ends_without_an_answer_is_told_of() {
    let output = program().args(["--exec", "true"]).output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    // Its end of the channel may be closed before it is greeted, or after.
    let said = output.stderr.contains("closed the channel without an answer")
        || output.stderr.contains("Broken pipe");
    assert!(said && output.stderr.starts_with("child "), "{output:?}");
    assert_eq!(
        output.stdout.matches("exited with code 0").count(),
        2,
        "{output:?}"
    );
}

#[test]
fn garbage_for_an_answer_is_told_of() {
    let script =
        r#"eval "echo garbage >&$NODE_CHANNEL_FD; read line <&$NODE_CHANNEL_FD""#;
    let output = program().args(["--exec", "bash", "-c", script]).output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stderr.contains("is not JSON"), "{output:?}");
    let ended = ["exited with code", "was killed by"]
        .map(|how| output.stdout.matches(how).count());
    assert_eq!(ended.iter().sum::<usize>(), 2, "both were waited for: {output:?}");
}

#[test]
fn how_the_child_ended_is_said_also_when_a_signal_did_it() {
    let script = r#"eval "read line <&$NODE_CHANNEL_FD; echo 1 >&$NODE_CHANNEL_FD"; kill -TERM $$"#;
    let output = program().args(["--exec", "bash", "-c", script]).output();
    assert_eq!(
        output.stdout.matches("was killed by SIGTERM").count(),
        1,
        "{output:?}"
    );
}

/// Greeted, and no answer: the parent says so after 10 s. It must not wait for the child's end
/// then, which may be a thousand seconds away.
#[test]
fn a_child_that_never_answers_does_not_keep_the_parent_for_ever() {
    let running = program().args(["--exec", "sleep", "1000"]).start();
    running.wait_for_line("\"made by\":\"fork + exec\"");
    let family = running.processes();
    assert_eq!(running.wait(Duration::from_secs(15)).code(), Some(1));
    running.wait_for_stderr("no answer in 5 seconds");
    assert_all_gone(&family, None, Duration::from_secs(2));
}

#[test]
fn a_wrong_flag_shows_the_usage_and_exits_with_2() {
    let wrong: [&[&str]; 7] = [
        &["--nosuch"],
        &["--port", "0"],
        &["--workers", "2"],
        &["-x"],
        &["surplus"],
        &["--exec"],
        &["worker", "a", "b"],
    ];
    for words in wrong {
        let output = program().args(words).output();
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
        assert_eq!(output.stdout, "", "{words:?}: standard output is for results");
        assert!(
            output.stderr.contains("Usage: ch01-fork-ipc"),
            "{words:?}: {output:?}"
        );
        let first =
            output.stderr.lines().next().expect("what is wrong comes first");
        assert!(
            words.iter().any(|word| first.contains(word)),
            "{words:?}: {first:?} names none"
        );
    }
}

#[test]
fn help_is_a_result_and_no_error() {
    for words in [&["--help"][..], &["-h"], &["worker", "--help"]] {
        let output = program().args(words).output();
        assert_eq!(output.status.code(), Some(0), "{words:?}: {output:?}");
        assert!(
            output.stdout.contains("Usage: ch01-fork-ipc"),
            "{words:?}: {output:?}"
        );
        assert_eq!(output.stderr, "", "{words:?}");
    }
}

/// `sleep` knows nothing of our rules: the kernel has to end it (`PR_SET_PDEATHSIG`).
#[test]
fn children_do_not_outlive_a_parent_that_is_killed() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM, Signal::SIGINT] {
        let running = program().args(["--exec", "sleep", "1000"]).start();
        running.wait_for_line("\"made by\":\"fork + exec\"");
        let family = running.processes();
        let asleep =
            family.iter().any(|process| process.command_line() == "sleep 1000");
        assert!(asleep, "{family:?}");
        running.signal(signal);
        running.wait(LONG);
        assert_all_gone(&family, None, Duration::from_secs(2));
    }
}

/// `ch01-fork-ipc | head -n 1`: the reader of its output goes first.
#[test]
fn it_does_not_fall_over_when_nobody_reads_its_output() {
    let this = env!("CARGO_BIN_EXE_ch01-fork-ipc");
    let script = format!("set -o pipefail; '{this}' | head -n 1 >&2");
    let output = testkit::Program::new("bash").args(["-c", &script]).output();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}
