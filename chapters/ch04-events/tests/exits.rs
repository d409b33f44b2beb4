//! A child exits while something else happens, or a descendant of it runs on.

mod common;

use std::{
    fs, io,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use common::{
    LONG, bash,
    events::{children, closed, life, shell, wait, wait_for, words},
    pipe, program, watch,
};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use serde_json::Value;
use testkit::{Program, Signal, eventually, zombies_of};

const SECOND: Duration = Duration::from_secs(1);

/// The most memory that a process has had, in KiB.
fn peak_memory(pid: i32) -> u64 {
    let status =
        fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.expect("Linux").trim().trim_end_matches(" kB");
    peak.parse().expect("a number")
}

/// A write to a child that has exited fails. That is no error: the child is about
/// to be reaped.
#[test]
fn what_is_sent_to_a_child_that_has_just_exited_is_no_error() {
    let (_turn, mut children) = children();
    let child = children.spawn(shell("exit 3"));
    thread::sleep(Duration::from_millis(200));
    for _ in 0..3 {
        children.send(child, &Value::from("x".repeat(100_000)));
    }
    assert_eq!(
        life(&mut children),
        ["spawn", "disconnect", "exit Exited(3)", "close Ok(Exited(3))"]
    );
}

/// The child is a zombie before its parent reads anything: 150 KB wait, more than
/// one call reads. Its descendant holds the channel, so there is no EOF.
#[test]
fn everything_that_a_child_sent_comes_before_its_exit() {
    let (_turn, mut children) = children();
    let send = "seq 1 27000 | dd bs=200k iflag=fullblock status=none >&$fd";
    let (reader, writer) = pipe();
    let mut command = shell(&format!("{send}; cat <&0 > /dev/null & exit 5"));
    command.stdin(reader);
    let child = children.spawn(command);
    let pid = children.pid(child).expect("it was started").as_raw();
    let own = std::process::id() as i32;
    eventually("a zombie", LONG, || {
        zombies_of(own).iter().any(|zombie| zombie.pid == pid)
    });
    let events = wait_for(&mut children, "exit Exited(5)");
    assert_eq!(events.len(), 27_002);
    let last = words(&events[27_000..]);
    assert_eq!(last, ["message 27000", "exit Exited(5)"]);
    drop(writer);
    life(&mut children);
}

/// Its descendant writes without a pause. The exit is reported soon all the same.
#[test]
fn a_descendant_that_floods_does_not_delay_the_exit() {
    let (_turn, mut children) = children();
    children.spawn(shell("{ yes 1 >&$fd; } 2> /dev/null & exit 5"));
    let until = Instant::now() + LONG;
    loop {
        assert!(children.seen() < until, "no exit");
        let events = children.wait(Some(until)).expect("poll");
        // 64 KiB are 32,768 lines.
        assert!(events.len() < 100_000, "{} events in one batch", events.len());
        if words(&events).iter().any(|word| word == "exit Exited(5)") {
            break;
        }
    }
}

/// The same with lines of 16 MB. The parent's memory does not grow.
#[test]
fn a_descendant_that_floods_does_not_fill_the_memory() {
    let line = "head -c 16000000 /dev/zero; echo";
    let flood =
        format!("{{ while {line}; do :; done; }} >&$fd 2> /dev/null & exit 5");
    let running = watch(&[], bash(&flood)).start();
    running.wait_for_line("\"exit\",\"code\":5");
    running.wait_for_line("\"error\"");
    let peak = peak_memory(running.pid());
    assert!(peak < 150_000, "it has used {peak} KiB");
}

/// The child asks for more answers than its socket holds, and reads none of them.
/// Its parent stops reading, and waits without using the processor. When the child
/// is killed, the rest of what it sent arrives, and then its exit.
#[test]
fn a_child_that_does_not_read_the_answers_is_reaped() {
    let (_turn, mut children) = children();
    let text = "x".repeat(1000);
    let handle =
        format!(r#"{{"cmd":"NODE_HANDLE","type":"net.Socket","msg":"{text}"}}"#);
    let child = children.spawn(shell(&format!("exec yes '{handle}' >&$fd")));
    let pid = children.pid(child).expect("it was started");
    let written = || {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).expect("it runs");
        let count = io.lines().find_map(|line| line.strip_prefix("wchar: "));
        count.expect("Linux").parse::<usize>().expect("a number")
    };
    let (until, mut count) = (Instant::now() + LONG, 0);
    loop {
        let before = (written(), thread_cpu_time());
        let events = children.wait(Some(Instant::now() + SECOND)).expect("poll");
        count += events.len();
        // A second without an event, in which the child could not write.
        if events.is_empty() && before.0 > 4 << 20 && before.0 == written() {
            let used = thread_cpu_time() - before.1;
            assert!(used < SECOND / 10, "waiting has used {used:?}");
            break;
        }
        assert!(Instant::now() < until, "it never pauses");
    }
    children.kill(child, Signal::SIGKILL);
    let events = wait(&mut children, |all| closed(all) == 1);
    count += events.len();
    assert!(count > 10_000, "{count} events");
    let last = words(&events[events.len() - 3..]);
    assert_eq!(
        last,
        ["disconnect", "exit Signaled(SIGKILL)", "close Ok(Signaled(SIGKILL))"]
    );
}

/// The processor time of this thread: the first number, in nanoseconds (proc(5)).
fn thread_cpu_time() -> Duration {
    let times = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let time = times.split(' ').next().expect("a number");
    Duration::from_nanos(time.parse().expect("a number"))
}

/// As process 1 of a container, a parent becomes the parent of every orphan.
#[test]
fn process_1_reaps_orphans() {
    let namespace =
        ["--pid", "--fork", "--kill-child", "--user", "--map-root-user"];
    let allowed = Program::new("unshare").args(namespace).arg("true").output();
    if !allowed.status.success() {
        eprintln!("skipped: no new process namespace here: {}", allowed.stderr);
        return;
    }
    // Five orphans that exit at once, one of them by a real-time signal.
    let orphans =
        "for n in 1 2 3 4 5; do (sh -c 'sleep 0.1; kill -34 $$' & ); done";
    let running = Program::new("unshare")
        .args(namespace)
        .arg(env!("CARGO_BIN_EXE_ch04-events"))
        .args(["watch", "--"])
        .args(bash(&format!("{orphans}; say 1; exec sleep 1000")))
        .start();
    running.wait_for_line("message");
    let parent = running.children()[0].pid;
    let children = || testkit::children_of(parent).len() + zombies_of(parent).len();
    eventually("only the child is left", LONG, || children() == 1);
    assert_eq!(zombies_of(parent), []);
}

/// A Node program that shares our standard output makes it non-blocking for us
/// as well.
#[test]
fn events_wait_for_a_slow_reader() {
    let (reader, writer) = pipe();
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("it is open");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch04-events"));
    command.args(["watch", "--"]).args(bash("seq 1 20000 >&$fd; exit 2"));
    let mut watched = command.stdout(writer).spawn().expect("it starts");
    drop(command);
    thread::sleep(Duration::from_millis(300));
    let text = io::read_to_string(fs::File::from(reader)).expect("it is text");
    assert!(watched.wait().expect("it exits").success());
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 20_004, "{:?}", lines.last());
    assert_eq!(lines[20_000], r#"{"event":"message","message":20000}"#);
}

#[test]
fn output_that_cannot_be_written_is_a_failure() {
    let full = fs::File::options().write(true).open("/dev/full").expect("Linux");
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch04-events"));
    command.args(["watch", "--", "true"]).stdout(full).stderr(Stdio::piped());
    let output = command.spawn().expect("it starts").wait_with_output();
    let output = output.expect("it exits");
    assert_eq!(output.status.code(), Some(1));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        complaint,
        "cannot write to standard output: No space left on device\n"
    );
}

#[test]
fn without_descriptors_it_says_what_it_cannot_do() {
    let limited = "ulimit -n 4; exec \"$0\" \"$@\"";
    let program = env!("CARGO_BIN_EXE_ch04-events");
    for arguments in [&["watch", "--", "true"][..], &[]] {
        let output = Program::new("bash")
            .args(["-c", limited, program])
            .args(arguments)
            .output();
        assert_eq!(output.status.code(), Some(1));
        let complaint = "cannot handle signals: Too many open files\n";
        assert_eq!(output.stderr, complaint, "{arguments:?}");
    }
}

/// The tour's child is killed with its parent.
#[test]
fn a_tour_that_is_killed_leaves_nothing() {
    let tour = program().args(["--exec", "bash", "-c", "exec sleep 1000"]).start();
    tour.wait_for_line("spawn");
    let processes = tour.processes();
    tour.signal(Signal::SIGKILL);
    testkit::assert_all_gone(&processes, None, Duration::from_secs(2));
}
