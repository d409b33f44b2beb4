//! After a wrong command line the exit code is 2, and the usage is shown. After any
//! other failure it is 1, with one line.

mod common;

use common::program;
use testkit::{Output, Program, node};

fn run(arguments: &[&str]) -> Output {
    program().args(arguments).output()
}

#[test]
fn a_wrong_command_line_shows_how_it_is_right() {
    for (arguments, complains) in [
        (
            &["--workers", "0"][..],
            "--workers takes a number from 1 to 1024, not '0'",
        ),
        (
            &["--workers", "1025"],
            "--workers takes a number from 1 to 1024, not '1025'",
        ),
        (&["--workers", "-1"], "--workers"),
        (
            &["--workers", "two"],
            "--workers takes a number from 1 to 1024, not 'two'",
        ),
        (
            &["--port", "65536"],
            "--port takes a number from 0 to 65535, not '65536'",
        ),
        (&["--port"], "--port"),
        (&["--nonsense"], "unknown flag '--nonsense'"),
        (&["nonsense"], "unknown argument 'nonsense'"),
        (&["--exec"], "--exec needs a program to run"),
        (&["tour", "--port", "0"], "unknown flag '--port'"),
        (&["tour", "twice"], "unknown argument 'twice'"),
        (&["worker", "one", "two"], "unknown argument 'two'"),
    ] {
        let output = run(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            output.stderr
        );
        let first = output.stderr.lines().next().unwrap_or_default();
        assert!(first.contains(complains), "{arguments:?}: {first}");
        assert!(output.stderr.contains("Usage: ch03-handles"), "{}", output.stderr);
        assert_eq!(output.stdout, "", "{arguments:?}");
    }
}

#[test]
fn help_is_not_a_failure() {
    let output = run(&["--help"]);
    assert_eq!((output.status.code(), &*output.stderr), (Some(0), ""));
    for word in ["Usage: ch03-handles", "--workers", "tour", "worker"] {
        assert!(output.stdout.contains(word), "{word}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = common::tcp_listener();
    let address = taken.local_addr().expect("an address");
    let output = run(&["--port", &address.port().to_string()]);
    let line = format!("cannot listen on {address}: Address already in use\n");
    assert_eq!((output.status.code(), output.stderr), (Some(1), line));
}

#[test]
fn an_address_that_is_not_ours_is_named() {
    let output = run(&["--addr", "192.0.2.1", "--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stderr.starts_with("cannot listen on 192.0.2.1:0: "),
        "{}",
        output.stderr
    );
}

#[test]
fn workers_that_cannot_be_started_are_named() {
    let output = run(&["--port", "0", "--exec", "/no/such/program"]);
    let line = "cannot start /no/such/program: No such file or directory\n";
    assert_eq!((output.status.code(), &*output.stderr), (Some(1), line));
}

#[test]
fn when_workers_exit_at_once_the_parent_exits_too() {
    let output = run(&["--port", "0", "--workers", "3", "--exec", "false"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        output.stdout.matches("exited with code 1; it is not replaced").count(),
        3
    );
    assert!(output.stderr.contains("no worker is left"), "{}", output.stderr);
    assert!(!output.stdout.contains("is ready"), "{}", output.stdout);
}

#[test]
fn garbage_from_a_worker_is_logged_and_the_parent_goes_on() {
    let script = "fd=$NODE_CHANNEL_FD; read -r handle <&$fd; echo garbage >&$fd; \
                  echo '\"still here\"' >&$fd; printf '{' >&$fd; exit 3";
    let output =
        run(&["--port", "0", "--workers", "1", "--exec", "bash", "-c", script]);
    for (text, line) in [
        (&output.stderr, "a line on the channel is not JSON"),
        (&output.stdout, "says \"still here\""),
        (&output.stderr, "the channel ended in the middle of a line"),
        (&output.stdout, "exited with code 3; it is not replaced"),
    ] {
        assert!(
            text.contains(line),
            "'{line}' is missing in\n{}{}",
            output.stdout,
            output.stderr
        );
    }
    assert_eq!(output.status.code(), Some(1), "its only worker is gone");
}

#[test]
fn a_message_of_a_worker_is_logged() {
    let Some(node) = node() else { return };
    let script =
        "process.send('hello'); process.on('message', () => process.exit(0))";
    let program = program().args(["--port", "0", "--workers", "1", "--exec"]);
    let output = program.arg(node).args(["-e", script]).output();
    assert!(output.stdout.contains("says \"hello\""), "{}", output.stdout);
}

/// Process 1 ignores every signal for which it has no handler (kill(2)), even
/// SIGTERM.
#[test]
fn as_process_1_the_parent_says_that_it_needs_an_init() {
    let unshare = |arguments: &[&str]| {
        let program = Program::new("unshare");
        program
            .args(["--user", "--map-root-user", "--pid", "--fork"])
            .args(arguments)
    };
    if !unshare(&["true"]).output().status.success() {
        return; // not every machine allows it
    }
    let own = env!("CARGO_BIN_EXE_ch03-handles");
    let output = unshare(&[own, "--port", "0", "--exec", "true"]).output();
    let first = output.stdout.lines().next().unwrap_or_default();
    assert!(first.starts_with("this is process 1, and no signal"), "{first}");
}

/// `cannot do X: why`, at whatever step the descriptors run out.
#[test]
fn a_parent_without_descriptors_says_what_it_cannot_do() {
    for limit in [4, 6, 8, 12] {
        let script =
            format!("ulimit -n {limit}; exec \"$0\" --port 0 --workers 16");
        let own = env!("CARGO_BIN_EXE_ch03-handles");
        let output = Program::new("sh").args(["-c", &script, own]).output();
        let (what, why) =
            output.stderr.trim_end().rsplit_once(": ").unwrap_or_default();
        assert!(what.starts_with("cannot "), "{limit}: {}", output.stderr);
        assert_eq!(why, "Too many open files", "{limit}: {}", output.stderr);
        assert_eq!(output.status.code(), Some(1));
    }
}

/// A worker cannot fill the disk with our log.
#[test]
fn a_worker_that_floods_is_logged_ten_times_a_second() {
    let script = "head -n 20000 < <(yes garbage) >&$NODE_CHANNEL_FD; \
                  head -n 20000 < <(yes '\"hi\"') >&$NODE_CHANNEL_FD";
    let arguments =
        ["--port", "0", "--workers", "1", "--exec", "bash", "-c", script];
    let output = run(&arguments);
    for text in [&output.stdout, &output.stderr] {
        assert!(text.lines().count() < 100, "{} lines", text.lines().count());
    }
    let left_out = output.stderr.matches(" more like the line above").count();
    assert!(left_out >= 2, "of messages and of faults: {}", output.stderr);
}
