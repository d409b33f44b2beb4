//! Starting programs, reading what they print, and reporting what went wrong.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::time::{Duration, Instant};

use common::{panic_of, sh};
use nix::sys::signal::{SigHandler, signal};
use testkit::{Program, Signal, eventually, temp_dir, try_eventually};

const SHORT: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);

#[test]
fn output_has_both_streams_and_the_status() {
    let output = sh("echo out; echo err >&2; exit 3").output();
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("out\n", "err\n")
    );
}

#[test]
fn the_builder_sets_what_it_says() {
    let dir = temp_dir();
    let program = sh("pwd; echo $KIT-$PATH_GONE; cat").env("KIT", "1").cwd(&dir);
    let output = program.env("PATH_GONE", "x").env_remove("PATH_GONE").output();
    let path = dir.path().canonicalize().expect("the directory");
    assert_eq!(output.stdout, format!("{}\n1-\n", path.display()));
}

#[test]
fn a_file_can_be_standard_input() {
    let dir = temp_dir();
    let file = std::fs::File::open(dir.write("in", "hello")).expect("the file");
    assert_eq!(Program::new("cat").stdin(file).output().stdout, "hello");
}

#[test]
fn json_lines_are_values() {
    let output = sh(r#"echo '{"event":"spawn"}'; echo 7"#).output();
    assert_eq!(output.json_lines()[0]["event"], "spawn");
    assert_eq!(output.json_lines()[1], 7);
    let broken = sh("echo '{'").output();
    assert!(panic_of(|| broken.json_lines()).contains("not JSON"));
}

/// As in CI that a script or `nohup` has started in the background.
#[test]
fn a_program_ends_at_a_signal_that_is_ignored_here() {
    for number in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM]
    {
        // SAFETY: neither action runs code of ours.
        let before =
            unsafe { signal(number, SigHandler::SigIgn) }.expect("to ignore");
        let running = sh("echo runs; exec sleep 1000").start();
        // SAFETY: as above.
        unsafe { signal(number, before) }.expect("to restore");
        running.wait_for_line("runs");
        running.signal(number);
        assert_eq!(running.wait(LONG).signal(), Some(number as i32));
    }
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let text = panic_of(|| Program::new("/no/such/program").arg("x").start());
    assert!(text.contains("cannot start `/no/such/program x`"), "{text}");
}

#[test]
fn output_that_takes_too_long_shows_what_was_printed() {
    let text = panic_of(|| {
        sh("echo so far; echo bad >&2; exec sleep 1000").limit(SHORT).output()
    });
    for part in ["within 100ms", "so far", "bad", "is running"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn output_held_by_a_grandchild_has_its_own_message() {
    let text = panic_of(|| sh("sleep 1000 & echo done").limit(SHORT).output());
    assert!(
        text.contains("still holds its output") && text.contains("done"),
        "{text}"
    );
}

#[test]
fn lines_are_found_from_the_start_and_only_whole() {
    let program =
        sh("echo one 1; echo two; echo one 2; printf 'one 3'; read x").start();
    assert_eq!(program.wait_for_line("two"), "two");
    assert_eq!(program.wait_for_line("one"), "one 1");
    assert_eq!(program.wait_for_lines("one", 2)[1], "one 2");
    // The last one has no newline; the end of the stream makes it a line.
    assert_eq!(program.wait_for_lines("one", 3)[2], "one 3");
}

#[test]
fn a_missing_line_fails_at_eof_and_not_later() {
    let program = sh("echo hello; echo oops >&2").start();
    let begun = Instant::now();
    let text = panic_of(|| program.wait_for_line("bye"));
    assert!(
        begun.elapsed() < Duration::from_secs(8),
        "it waited although EOF was read"
    );
    for part in ["stdout", "\"bye\"", "before its end", "hello", "oops"] {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    let text = panic_of(|| program.wait_for_stderr("bye"));
    assert!(text.starts_with("the program's stderr"), "{text}");
    assert_eq!(program.wait_for_stderr("oo"), "oops");
}

#[test]
fn the_port_is_read_from_the_line() {
    let program = sh("echo listening on http://127.0.0.1:41234; read x").start();
    assert_eq!(program.port(), 41234);
    let program =
        sh("echo 'x listening on http://[::1]:80/ with 2 workers'; read x").start();
    assert_eq!(program.addr(), "[::1]:80".parse().expect("an address"));
}

#[test]
fn a_server_that_cannot_listen_is_quoted() {
    let program =
        sh("echo cannot listen: Address already in use >&2; exit 1").start();
    let text = panic_of(|| program.port());
    assert!(
        text.contains("Address already in use") && text.contains("listening on"),
        "{text}"
    );
}

#[test]
fn what_a_program_does_is_awaited_only_while_it_runs() {
    let said = |program: &testkit::Running| {
        program.stdout().contains("late").then_some(())
    };
    let program = sh("sleep 0.1; echo late; exec sleep 1000").start();
    assert_eq!(program.try_while_it_runs(LONG, || said(&program)), Some(()));
    // The last look is after its exit.
    let program = sh("echo late").start();
    assert_eq!(program.try_while_it_runs(LONG, || said(&program)), Some(()));
    let program = sh("exit 3").start();
    let began = Instant::now();
    assert_eq!(program.try_while_it_runs(LONG, || said(&program)), None);
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
}

#[test]
fn wait_returns_the_exit_status() {
    let program = sh("echo up; exec sleep 1000").start();
    program.wait_for_line("up");
    assert_eq!(program.try_wait(), None);
    let text = panic_of(|| program.wait(SHORT));
    assert!(
        text.contains("should have exited within 100ms") && text.contains("up"),
        "{text}"
    );
    program.signal(Signal::SIGTERM);
    assert_eq!(program.wait(LONG).signal(), Some(Signal::SIGTERM as i32));
    assert_eq!(
        program.wait(SHORT).signal(),
        Some(Signal::SIGTERM as i32),
        "the same once more"
    );
    assert!(
        panic_of(|| program.signal(Signal::SIGTERM)).contains("was waited for")
    );
}

#[test]
fn a_test_can_be_the_parent_of_a_worker() {
    let script = r#"eval "read -r line <&$NODE_CHANNEL_FD; echo \"\$line\" >&$NODE_CHANNEL_FD""#;
    // Not every sh takes a descriptor number of two digits.
    let (program, channel) = Program::new("bash").args(["-c", script]).channel();
    let program = program.start();
    channel.set_read_timeout(Some(LONG)).expect("a time-out");
    (&channel).write_all(b"{\"n\":1}\n").expect("the channel takes it");
    let mut lines = BufReader::new(&channel).lines();
    assert_eq!(lines.next().expect("an echo").expect("readable"), "{\"n\":1}");
    assert!(program.wait(LONG).success(), "{}", program.stderr());
    assert!(lines.next().is_none(), "no other process may hold the other end");
}

#[test]
fn eventually_says_what_it_waited_for() {
    let text = panic_of(|| eventually("pigs fly", SHORT, || false));
    assert!(text.contains("pigs fly") && text.contains("100ms"), "{text}");
    let mut looks = 0;
    let look = || {
        looks += 1;
        (looks > 3).then_some(looks)
    };
    assert_eq!(try_eventually(LONG, look), Some(4));
    assert_eq!(
        try_eventually(Duration::ZERO, || Some(())),
        Some(()),
        "there is always one look"
    );
}
