//! `ch03-handles tour`: one handle of each type, and each one used.

mod common;

use common::{LONG, program};
use testkit::{Output, Program, assert_all_gone, node, node_program, temp_dir};

const STOPS: [(&str, &str, &str); 8] = [
    ("TCP socket", "net.Socket", "a TCP socket"),
    ("TCP listener", "net.Server", "a TCP listener"),
    ("Unix stream", "net.Socket", "a Unix stream"),
    ("Unix listener", "net.Server", "a Unix listener"),
    ("UDP socket", "dgram.Socket", "a UDP socket"),
    ("bare TCP", "net.Native", "a TCP socket"),
    ("bare pipe", "net.Native", "a Unix stream"),
    ("bare UDP", "dgram.Native", "a UDP socket"),
];

/// Two lines for each handle, all with the pid of one child, and a last line.
#[track_caller]
fn assert_toured(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}{}", output.stdout, output.stderr);
    let lines: Vec<&str> = output.stdout.lines().collect();
    assert_eq!(lines.len(), 2 * STOPS.len() + 1, "{}", output.stdout);
    let (pairs, last) = lines.split_at(2 * STOPS.len());
    let speaker = pairs[1].trim_start().trim_start_matches("and through it: ");
    let pid = speaker.split(' ').next().and_then(|word| word.parse::<i32>().ok());
    let pid = pid.unwrap_or_else(|| panic!("no pid in '{}'", pairs[1]));
    for (pair, (name, kind, is)) in pairs.chunks(2).zip(STOPS) {
        let says = format!("{name:13} sent as {kind:14} the child says it is {is}");
        assert_eq!(pair[0], says);
        let through =
            format!("{:13} and through it: {pid} speaks through {is}", "");
        assert_eq!(pair[1], through);
    }
    assert_eq!(last, ["each handle arrived as what it is, and works"]);
}

#[test]
fn the_tour_sends_eight_handles_and_all_work() {
    let output = program().arg("tour").output();
    assert_toured(&output);
    assert_eq!(output.stderr, "");
}

#[test]
fn a_node_child_does_the_same() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/tour_child.js"));
    assert_toured(
        &program().args(["tour", "--exec"]).arg(node).arg(&script).output(),
    );
}

/// What a failed tour says: a single line, and the exit code 1.
#[track_caller]
fn complaint(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(1), "{}{}", output.stdout, output.stderr);
    assert!(!output.stdout.contains("and works"), "{}", output.stdout);
    let line = output.stderr.trim_end();
    assert_eq!(line.lines().count(), 1, "one clear line: {line}");
    line
}

#[test]
fn a_node_child_that_lies_is_found_out() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/tour_child.js"));
    for (lie, complains) in [
        ("misnames", "TCP socket: the child names it \"something\""),
        ("is-another", "speaks through …', not '1 speaks through a TCP socket"),
        ("leaves", "TCP socket: no report: the child has closed its channel"),
        ("fails", "the child exited with code 3"),
    ] {
        let program =
            program().args(["tour", "--exec"]).arg(&node).arg(&script).arg(lie);
        let output = program.output();
        assert!(complaint(&output).contains(complains), "{lie}: {}", output.stderr);
    }
}

#[test]
fn a_child_that_does_not_exit_is_killed_after_2_s() {
    let Some(node) = node() else { return };
    let script = node_program(include_str!("node/tour_child.js"));
    let tour = program().args(["tour", "--exec"]).arg(node).arg(&script);
    assert_eq!(
        complaint(&tour.arg("stays").output()),
        "the child was killed by SIGKILL"
    );
}

#[test]
fn a_child_that_keeps_no_handle_is_found_out() {
    // A plain read(2) takes the bytes alone: the kernel closes the descriptor that
    // came with them.
    let cases = [
        (
            r#"receive; send '{"cmd":"NODE_HANDLE_ACK"}'; send '{"message":"TCP socket"}'"#,
            "speaks through …', not ''",
        ),
        (
            r#"for n in 1 2 3; do receive; send '{"cmd":"NODE_HANDLE_NACK"}'; done; receive"#,
            "TCP socket: no report: the child cannot receive it",
        ),
        (
            "receive; send garbage; receive",
            "TCP socket: no report: a line on the channel is not JSON",
        ),
        (
            "receive; printf half >&$fd",
            "TCP socket: no report: the channel ended in the middle of a line",
        ),
    ];
    let functions = "fd=$NODE_CHANNEL_FD; receive() { read -r line <&$fd; }; send() { echo \"$1\" >&$fd; };";
    for (script, complains) in cases {
        let script = format!("{functions} {script}");
        let output =
            program().args(["tour", "--exec", "bash", "-c", &script]).output();
        assert!(
            complaint(&output).contains(complains),
            "{script}: {}",
            output.stderr
        );
    }
}

/// Whether it exits before the handle leaves or after it: the message is the same.
#[test]
fn a_child_that_is_gone_has_closed_its_channel() {
    for _ in 0..10 {
        let output = program().args(["tour", "--exec", "true"]).output();
        let line = "TCP socket: no report: the child has closed its channel";
        assert_eq!(complaint(&output), line);
    }
}

#[test]
fn a_tour_without_a_child_says_why() {
    let output = program().args(["tour", "--exec", "/no/such/program"]).output();
    assert_eq!(
        complaint(&output),
        "cannot start /no/such/program: No such file or directory"
    );
}

/// Process ids are used again: a tour that was killed may have left its socket's
/// name behind.
#[test]
fn the_socket_of_a_killed_tour_is_not_in_the_way_of_the_next() {
    let dir = temp_dir();
    // exec keeps the number of the process.
    let script = "touch \"$TMPDIR/ch03-handles-$$.sock\"; exec \"$0\" tour";
    let tour =
        Program::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_ch03-handles")]);
    assert_toured(&tour.env("TMPDIR", dir.path()).output());
}

#[test]
fn a_tour_that_is_killed_leaves_nothing() {
    // Its Unix listener may have left a name there.
    let dir = temp_dir();
    let tour = program()
        .args(["tour", "--exec", "sleep", "1000"])
        .env("TMPDIR", dir.path());
    let tour = tour.start();
    testkit::eventually("its child has started", LONG, || {
        tour.processes().len() == 2
    });
    let family = tour.processes();
    tour.signal(testkit::Signal::SIGKILL);
    assert_all_gone(&family, None, LONG);
}

#[test]
fn a_tour_that_cannot_make_its_handles_says_what_and_why() {
    let output = program().arg("tour").env("TMPDIR", "/no/such").output();
    let line = "cannot make a Unix listener in /no/such: No such file or directory";
    assert_eq!(complaint(&output), line);
    for limit in [4, 6, 8, 12] {
        let script = format!("ulimit -n {limit}; exec \"$0\" tour");
        let own = env!("CARGO_BIN_EXE_ch03-handles");
        let output = Program::new("sh").args(["-c", &script, own]).output();
        let line = complaint(&output);
        let (what, why) = line.rsplit_once(": ").unwrap_or_default();
        assert!(what.starts_with("cannot "), "{limit} descriptors: {line}");
        assert_eq!(why, "Too many open files", "{limit} descriptors: {line}");
    }
}
