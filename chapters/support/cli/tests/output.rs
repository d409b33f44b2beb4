//! What is printed arrives, or the program says that it did not.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Write as _},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    unistd::pipe2,
};
use testkit::Program;

/// `programs/print.rs`.
const PRINT: &str = env!("CARGO_BIN_EXE_cli-print");

/// Runs it with this standard output; its exit code, and what it wrote to standard
/// error.
fn run(kind: &str, count: &str, stdout: impl Into<Stdio>) -> (Option<i32>, String) {
    let child = Command::new(PRINT)
        .args([kind, count])
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn();
    let output = child.expect("it was built").wait_with_output().expect("it exits");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// The reading and the writing end, close-on-exec.
fn pipe() -> (File, File) {
    let (reader, writer) = pipe2(OFlag::O_CLOEXEC).expect("a pipe");
    (reader.into(), writer.into())
}

#[test]
fn say_waits_for_room_in_a_non_blocking_pipe() {
    let (mut reader, writer) = pipe();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("our own pipe");
    // It holds 40 lines, of 20,000.
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).expect("our own pipe");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).expect("UTF-8");
        text
    });
    assert_eq!(run("say", "20000", writer), (Some(0), String::new()));
    let text = reader.join().expect("the text");
    let expected = (0..20_000).map(|number| format!("line {number:095}\n"));
    assert!(text == expected.collect::<String>(), "{} bytes", text.len());
}

/// The kernel sends SIGXFSZ, which kills by default (setrlimit(2)).
#[test]
fn a_file_that_may_not_grow_ends_no_server() {
    let dir = testkit::temp_dir();
    let log = dir.path().join("log");
    let script = "ulimit -f 0; exec \"$0\" \"$1\" 3 >\"$2\" 2>&1";
    let ends = |kind: &str| {
        let log = log.to_str().expect("UTF-8");
        Program::new("sh").args(["-c", script, PRINT, kind, log]).output().status
    };
    assert_eq!(ends("log").code(), Some(0), "it goes on without its log");
    assert_eq!(ends("say").code(), Some(1), "a result is lost");
}

#[test]
fn a_full_disk_is_reported_once() {
    let full = || OpenOptions::new().write(true).open("/dev/full").expect("Linux");
    let why = "cannot write to standard output: No space left on device\n";
    assert_eq!(run("say", "3", full()), (Some(1), why.to_owned()));
    assert_eq!(run("--help", "", full()), (Some(1), why.to_owned()));
    // A log is no result: a server goes on without it.
    assert_eq!(run("complain", "0", full()), (Some(0), String::new()));
}

#[test]
fn a_reader_that_has_exited_is_no_failure() {
    let (reader, writer) = pipe();
    drop(reader);
    assert_eq!(run("say", "3", writer), (Some(0), String::new()));
}

#[test]
fn a_log_that_is_not_read_leaves_lines_out_and_counts_them() {
    let (mut reader, writer) = pipe();
    let mut child = Command::new(PRINT)
        .args(["log", "20000"])
        .stdin(Stdio::piped())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .expect("it was built");
    // It has written what it could and says so; it has not blocked.
    let mut byte = [0];
    child.stderr.as_mut().expect("a pipe").read_exact(&mut byte).expect("a byte");
    let mut first = vec![0; 32 * 1024];
    reader.read_exact(&mut first).expect("the pipe is full");
    child.stdin.take().expect("a pipe").write_all(b"\n").expect("it reads");
    let mut text = String::from_utf8(first).expect("UTF-8");
    reader.read_to_string(&mut text).expect("UTF-8");
    let whole = text.lines().filter(|it| it.starts_with("line ")).count();
    let note = format!("… {} lines left out: no room for them", 20_000 - whole);
    assert!(text.ends_with(&format!("{note}\nthe last line\n")), "{text}");
    assert!(child.wait().expect("it exits").success());
}

/// A signal interrupts poll(2), also where that would not block.
#[test]
fn a_log_that_is_not_read_does_not_block_when_signals_arrive() {
    let (reader, writer) = pipe();
    const LIMIT: Duration = Duration::from_secs(5);
    // What blocks then goes on.
    std::thread::spawn(move || {
        std::thread::sleep(LIMIT);
        drop(reader);
    });
    let began = Instant::now();
    assert_eq!(run("alarmed", "20000", writer), (Some(0), String::new()));
    assert!(began.elapsed() < LIMIT, "it blocks");
}

#[test]
fn a_limited_line_is_written_ten_times_and_then_counted() {
    let output = Program::new(PRINT).args(["limited", "100000"]).output();
    let (lines, notes): (Vec<_>, Vec<_>) =
        output.stderr.lines().partition(|it| it.starts_with("line "));
    let left_out: usize = notes
        .iter()
        .filter_map(|it| it.split(' ').nth(1)?.parse::<usize>().ok())
        .sum();
    assert_eq!(lines.len() + left_out, 100_000, "{}", output.stderr);
    assert!(lines.len() <= 100 && notes.len() <= 10, "{}", output.stderr);
}

#[test]
fn a_wrong_flag_shows_the_usage_and_exits_with_2() {
    let output = Program::new(PRINT).arg("--sideways").output();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        output
            .stderr
            .ends_with("\n\nusage: print say|log|complain|limited COUNT\n")
    );
}
