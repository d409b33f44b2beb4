//! What `watch` prints of each kind of child: exactly these lines.

mod common;

use std::{fs::File, process::Command, thread, time::Duration};

use common::{
    DISCONNECT, LEAVES_ITS_OUTPUT, LEAVES_THE_CHANNEL, LONG, SPAWN, assert_events,
    bash, events_with_a_grandchild, exited, killed, masked, message, pipe, watch,
};
use testkit::{Signal, temp_dir};

#[test]
fn a_child_that_sends_a_message_and_exits() {
    let output = watch(&[], bash("say '\"hi\"'")).output();
    let [exit, close] = exited(0);
    assert_events(&output, [SPAWN, &message("\"hi\""), DISCONNECT, &exit, &close]);
    assert_eq!(output.stderr, "");
}

#[test]
fn a_child_that_exits_with_a_code() {
    for code in [0, 1, 7, 255] {
        let output = watch(&[], bash(&format!("exit {code}"))).output();
        let [exit, close] = exited(code);
        assert_events(&output, [SPAWN, DISCONNECT, &exit, &close]);
    }
}

#[test]
fn a_child_that_is_killed() {
    for signal in ["SIGTERM", "SIGKILL", "SIGUSR1", "SIGALRM"] {
        let output =
            watch(&["--kill", signal], bash("say 1; read -r x <&$fd")).output();
        let [exit, close] = killed(signal);
        assert_events(&output, [SPAWN, &message("1"), DISCONNECT, &exit, &close]);
    }
}

#[test]
fn a_child_that_traps_the_signal() {
    let script =
        "trap 'exit 1' TERM; say '\"ready\"'; while :; do sleep 0.01; done";
    let output = watch(&["--kill", "SIGTERM"], bash(script)).output();
    let [exit, close] = exited(1);
    assert_events(
        &output,
        [SPAWN, &message("\"ready\""), DISCONNECT, &exit, &close],
    );
}

#[test]
fn a_child_that_kills_itself() {
    for signal in ["SIGTERM", "SIGKILL", "SIGINT"] {
        let script = format!("trap - INT; kill -{} $$; sleep 1000", &signal[3..]);
        let output = watch(&[], bash(&script)).output();
        let [exit, close] = killed(signal);
        assert_events(&output, [SPAWN, DISCONNECT, &exit, &close]);
    }
}

/// nix has no names for these signals. The child exits and is reaped all the same.
#[test]
fn a_child_that_a_real_time_signal_kills_has_an_exit_too() {
    let output = watch(&[], bash("kill -34 $$; sleep 1000")).output();
    let names = output.json_lines().into_iter().map(|event| event["event"].clone());
    let names: Vec<_> = names.collect();
    assert_eq!(
        names,
        ["spawn", "disconnect", "exit", "close"],
        "{}",
        output.stdout
    );
}

#[test]
fn a_program_that_cannot_be_started() {
    let dir = temp_dir();
    let file = dir.write("file", "no program").display().to_string();
    let missing = dir.path().join("missing").display().to_string();
    for (program, code, reason, number) in [
        (missing, "ENOENT", "No such file or directory", -2),
        (file, "EACCES", "Permission denied", -13),
    ] {
        let output = watch(&[], [&program]).output();
        let message = format!("cannot start {program}: {reason}");
        let error =
            format!(r#"{{"event":"error","code":"{code}","message":"{message}"}}"#);
        let [_, close] = exited(number);
        assert_events(&output, [&error, DISCONNECT, &close]);
    }
}

#[test]
fn a_channel_that_the_parent_closes() {
    let wait = "read -r x <&$fd; exit 4";
    let [exit, close] = exited(4);
    let output = watch(&["--disconnect"], bash(&format!("say 1; {wait}"))).output();
    assert_events(&output, [SPAWN, &message("1"), DISCONNECT, &exit, &close]);
    let output = watch(&["--disconnect", "--after", "50"], bash(wait)).output();
    assert_events(&output, [SPAWN, DISCONNECT, &exit, &close]);
    // With --after, a message does not trigger it.
    let kill = ["--kill", "KILL", "--after", "300"];
    let script = "say 1; read -t 0.01 -r x <&$fd; say 2; read -r x <&$fd";
    let output = watch(&kill, bash(script)).output();
    let [exit, close] = killed("SIGKILL");
    let [one, two] = ["1", "2"].map(message);
    assert_events(&output, [SPAWN, &one, &two, DISCONNECT, &exit, &close]);
}

#[test]
fn a_child_that_closes_the_channel_and_runs_on() {
    let running = watch(&[], bash("eval \"exec $fd>&-\"; read -r x; exit 4"));
    let (reader, writer) = pipe();
    let running = running.stdin(reader).start();
    running.wait_for_line("disconnect");
    assert_eq!(masked(&running.stdout()), [SPAWN, DISCONNECT], "it runs");
    drop(writer);
    assert!(running.wait(LONG).success());
    let [exit, close] = exited(4);
    running.wait_for_line("close");
    assert_eq!(masked(&running.stdout()), [SPAWN, DISCONNECT, &exit, &close]);
}

#[test]
fn output_goes_to_standard_error_and_close_waits_for_all_of_it() {
    let script = "head -c 1000000 /dev/zero | tr '\\0' x; echo y >&2; exit 3";
    let output = watch(&[], bash(script)).output();
    let [exit, close] = exited(3);
    assert_events(&output, [SPAWN, DISCONNECT, &exit, &close]);
    assert_eq!(
        output.stderr.matches('x').count(),
        1_000_000,
        "everything that the child printed"
    );
    assert_eq!(output.stderr.matches('y').count(), 1);
}

/// Standard error is full: the events are all there, and the exit code says that
/// something is missing.
#[test]
fn output_that_cannot_be_passed_on_fails() {
    let full = || File::options().write(true).open("/dev/full").expect("Linux");
    for (print, code) in [("", 0), ("echo x; echo y;", 1)] {
        let child = bash(&format!("{print} exit 3"));
        let output = Command::new(env!("CARGO_BIN_EXE_ch04-events"))
            .args(["watch", "--"])
            .args(child)
            .stderr(full())
            .output()
            .expect("it is started");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let [exit, close] = exited(3);
        assert_eq!(masked(&text), [SPAWN, DISCONNECT, &exit, &close]);
        assert_eq!(output.status.code(), Some(code), "{print}");
    }
}

#[test]
fn exit_comes_at_once_and_close_when_the_grandchild_exits() {
    let [exit, close] = exited(5);
    let seen = events_with_a_grandchild(watch(&[], bash(LEAVES_ITS_OUTPUT)));
    assert_eq!(seen, [SPAWN, DISCONNECT, &exit, &close]);
    let seen = events_with_a_grandchild(watch(&[], bash(LEAVES_THE_CHANNEL)));
    assert_eq!(
        seen,
        [SPAWN, &exit, DISCONNECT, &close],
        "disconnect is not guessed"
    );
}

#[test]
fn a_stopped_child_has_no_event() {
    let script = "say 1; kill -STOP $$; say 2; exit 6";
    let running = watch(&[], bash(script)).start();
    running.wait_for_line(&message("1"));
    let child = running.children()[0];
    testkit::eventually("it is stopped", LONG, || child.stopped());
    assert!(child.signal(Signal::SIGCONT));
    assert!(running.wait(LONG).success());
    running.wait_for_line("close");
    let [exit, close] = exited(6);
    let [one, two] = ["1", "2"].map(message);
    assert_eq!(
        masked(&running.stdout()),
        [SPAWN, &one, &two, DISCONNECT, &exit, &close]
    );
}

/// `watch` itself is stopped: its child exits meanwhile, and the time of `--after`
/// passes. What the child did counts before what the clock says.
#[test]
fn a_watch_that_was_stopped_reports_what_happened_before_it_acts() {
    let (reader, writer) = pipe();
    let plan = ["--disconnect", "--after", "500"];
    // 80,000 bytes: one call reads 64 KiB.
    let text = format!("\"{:02000}\"", 2);
    let send = format!("for i in {{1..40}}; do say '{text}'; done");
    let script = format!("say 1; read -r x; {send}; exit 4");
    let running = watch(&plan, bash(&script)).stdin(reader).start();
    running.wait_for_line(&message("1"));
    running.signal(Signal::SIGSTOP);
    drop(writer);
    testkit::eventually("the child has exited", LONG, || {
        !testkit::zombies_of(running.pid()).is_empty()
    });
    thread::sleep(Duration::from_millis(600));
    running.signal(Signal::SIGCONT);
    assert!(running.wait(LONG).success());
    running.wait_for_line("close");
    let [exit, close] = exited(4);
    let (one, twos) = (message("1"), vec![message(&text); 40]);
    let mut expected = vec![SPAWN, &one];
    expected.extend(twos.iter().map(String::as_str));
    expected.extend([DISCONNECT, &exit, &close]);
    assert_eq!(masked(&running.stdout()), expected, "and no second disconnect");
}
