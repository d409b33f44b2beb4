//! The chapter's program, seen from outside.

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
fn both_children_are_greeted_answer_and_exit() {
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
fn a_program_that_does_not_exist_is_named() {
    // execvp(3) fails with `Permission denied` if it may not read a folder in PATH.
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
fn an_exit_without_an_answer_is_reported() {
    let output = program().args(["--exec", "true"]).output();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert_eq!(output.stderr.lines().count(), 1, "{output:?}");
    // It may close its end of the channel before it is greeted, or after.
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
fn garbage_for_an_answer_is_reported() {
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
fn a_signal_that_killed_a_child_is_named() {
    let script = r#"eval "read line <&$NODE_CHANNEL_FD; echo 1 >&$NODE_CHANNEL_FD"; kill -TERM $$"#;
    let output = program().args(["--exec", "bash", "-c", script]).output();
    assert_eq!(
        output.stdout.matches("was killed by SIGTERM").count(),
        1,
        "{output:?}"
    );
}

/// After a second without an answer the parent says so. It must not wait for the child
/// to exit then, which may take a thousand seconds.
#[test]
fn a_child_that_never_answers_is_killed() {
    let flags = ["--wait", "1", "--exec", "sleep", "1000"];
    let running = program().args(flags).start();
    running.wait_for_line("\"made by\":\"fork + exec\"");
    let family = running.processes();
    assert_eq!(running.wait(LONG).code(), Some(1));
    running.wait_for_stderr("no answer in 1 s");
    assert_all_gone(&family, None, Duration::from_secs(2));
}

#[test]
fn a_wrong_flag_shows_the_usage_and_exits_with_2() {
    let wrong: [&[&str]; 9] = [
        &["--wait"],
        &["--wait", "0"],
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

/// `sleep` does not read its channel: the kernel has to kill it
/// (`PR_SET_PDEATHSIG`).
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

/// `ch01-fork-ipc | head -n 1`: the reader of its output exits first.
#[test]
fn it_does_not_panic_when_the_reader_of_its_output_exits() {
    let this = env!("CARGO_BIN_EXE_ch01-fork-ipc");
    let script = format!("set -o pipefail; '{this}' | head -n 1 >&2");
    let output = testkit::Program::new("bash").args(["-c", &script]).output();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!output.stderr.contains("panicked"), "{output:?}");
}

/// `cannot do X: why`, however few descriptors there are. Below 5 even the dynamic
/// loader of a program fails; then that complains.
#[test]
fn without_descriptors_it_says_what_it_cannot_do() {
    let this = env!("CARGO_BIN_EXE_ch01-fork-ipc");
    let mut reached = Vec::new();
    for limit in 3..12 {
        let script = format!("ulimit -n {limit}; exec '{this}'");
        let output = testkit::Program::new("sh").args(["-c", &script]).output();
        if output.stderr.contains("error while loading shared libraries") {
            continue;
        }
        let Some(line) = output.stderr.lines().next() else {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            reached.push("nothing");
            continue;
        };
        assert_eq!(output.status.code(), Some(1), "{limit}: {output:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{limit}: {output:?}");
        let (what, why) = line.split_once(": ").expect("what and why");
        assert_eq!(why, "Too many open files", "{limit}: {output:?}");
        let known = ["cannot fork", "cannot start"];
        let known = known.into_iter().find(|known| what.starts_with(known));
        reached.push(known.unwrap_or_else(|| panic!("{limit}: {output:?}")));
    }
    reached.dedup();
    assert_eq!(reached, ["cannot fork", "cannot start", "nothing"]);
}

#[test]
fn a_path_below_a_file_is_named() {
    let dir = temp_dir();
    let below = dir.write("text", "no program").join("below");
    let output = program().arg("--exec").arg(&below).output();
    let line = format!("cannot start {}: Not a directory", below.display());
    assert_complaint(&output, 1, &line);
}
