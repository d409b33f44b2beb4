//! Many children, and one place to wait for them.

mod common;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio, id},
    thread,
    time::{Duration, Instant},
};

use ch01_fork_ipc::ExitStatus;
use ch03_handles::Handle;
use ch04_events::{ChildError, Event, Id};
use common::{
    LONG,
    events::{children, closed, described, life, shell, wait, words},
};
use nix::{
    errno::Errno,
    sys::signal::{Signal, raise},
};
use serde_json::{Value, json};
use testkit::{eventually, zombies_of};

#[test]
fn two_hundred_children_at_once_and_each_has_its_events_in_order() {
    let (_turn, mut children) = children();
    let ids: Vec<Id> = (0..200)
        .map(|n| children.spawn(shell(&format!("say {n}; exit {}", n % 256))))
        .collect();
    let mut lives: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    for event in wait(&mut children, |all| closed(all) == 200) {
        let (id, word) = described(&event);
        lives.entry(id.expect("no signal was sent")).or_default().push(word);
    }
    for (n, id) in ids.into_iter().enumerate() {
        let ended = ExitStatus::Exited(n as i32 % 256);
        let (exit, close) =
            (format!("exit {ended:?}"), format!("close Ok({ended:?})"));
        let expected =
            ["spawn", &format!("message {n}"), "disconnect", &exit, &close];
        assert_eq!(
            lives.remove(&id).expect("it has events"),
            expected,
            "child {n}"
        );
    }
    assert_eq!(zombies_of(id() as i32), [], "all must be waited for");
}

#[test]
fn a_child_that_floods_does_not_keep_the_others_waiting() {
    let (_turn, mut children) = children();
    let flood = children.spawn(shell("exec yes 1 >&$fd"));
    wait(&mut children, |all| all.len() > 1000);
    let other = children.spawn(shell("say '\"hi\"'; exit 2"));
    let events = wait(&mut children, |all| closed(all) == 1);
    let words: Vec<_> =
        events.iter().map(described).filter(|(id, _)| *id == Some(other)).collect();
    assert_eq!(words.len(), 5, "{words:?}");
    children.kill(flood, Signal::SIGKILL);
    let events = wait(&mut children, |all| closed(all) == 1);
    assert_eq!(
        described(events.last().expect("an end")).1,
        "close Ok(Signaled(SIGKILL))"
    );
}

#[test]
fn close_comes_after_all_of_the_output() {
    let (_turn, mut children) = children();
    let mut command = shell("head -c 1000000 /dev/zero; echo error >&2; exit 3");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    children.spawn(command);
    let events = wait(&mut children, |all| closed(all) == 1);
    let bytes = events.iter().map(|event| match event {
        Event::Output(_, bytes) => bytes.len(),
        _ => 0,
    });
    assert_eq!(bytes.sum::<usize>(), 1_000_006);
    assert!(matches!(
        events.last(),
        Some(Event::Close(_, Ok(ExitStatus::Exited(3))))
    ));
}

#[test]
fn what_is_sent_after_the_channel_has_closed_is_an_error() {
    let (_turn, mut children) = children();
    let child = children.spawn(shell("read -r x <&$fd; exit 4"));
    children.disconnect(child);
    children.send(child, &Value::from("are you there?"));
    children.send_handle(child, Value::Null, Handle::Udp(udp()));
    children.disconnect(child);
    let closed = "error ERR_IPC_CHANNEL_CLOSED";
    let again = "error ERR_IPC_DISCONNECTED";
    let expected = [
        "spawn",
        "disconnect",
        closed,
        closed,
        "returned null",
        again,
        "exit Exited(4)",
        "close Ok(Exited(4))",
    ];
    assert_eq!(life(&mut children), expected);
}

/// What has happened counts before the clock: the time is up, and the child has
/// exited. Its channel is closed, so SIGCHLD is all that there is to see.
#[test]
fn an_exit_that_has_happened_is_reported_although_the_time_is_up() {
    let (_turn, mut children) = children();
    let child = children.spawn(shell("read -r x <&$fd; exit 4"));
    children.disconnect(child);
    let events = wait(&mut children, |all| all.len() == 2);
    assert_eq!(words(&events), ["spawn", "disconnect"]);
    eventually("the child has exited", LONG, || {
        !zombies_of(id() as i32).is_empty()
    });
    // The handler of SIGCHLD may run in another thread.
    thread::sleep(Duration::from_millis(50));
    let events = children.wait(Some(Instant::now())).expect("poll");
    assert_eq!(words(&events), ["exit Exited(4)", "close Ok(Exited(4))"]);
}

/// As above, with more than one call reads: messages, output and the exit are all
/// reported before the deadline counts.
#[test]
fn a_deadline_counts_once_everything_before_it_is_reported() {
    let (_turn, mut children) = children();
    // 80,000 bytes: one call reads 64 KiB.
    let send = format!("for i in {{1..40}}; do say '\"{:02000}\"'; done", 1);
    let mut command = shell(&format!("{send}; echo hello; exit 4"));
    command.stdout(Stdio::piped());
    children.spawn(command);
    eventually("the child has exited", LONG, || {
        !zombies_of(id() as i32).is_empty()
    });
    // The handler of SIGCHLD may run in another thread.
    thread::sleep(Duration::from_millis(50));
    let (until, mut all) = (Instant::now(), Vec::new());
    while children.seen() < until {
        all.extend(children.wait(Some(until)).expect("poll"));
    }
    let words = words(&all);
    let messages = words.iter().filter(|word| word.starts_with("message"));
    assert_eq!(messages.count(), 40);
    assert!(words.contains(&"output".to_owned()));
    let last = words.last().map(String::as_str);
    assert_eq!(last, Some("close Ok(Exited(4))"));
}

/// A child that writes without a pause does not put off a deadline.
#[test]
fn a_deadline_counts_although_a_child_floods() {
    let (_turn, mut children) = children();
    let flood = children.spawn(shell("exec yes 1 >&$fd"));
    wait(&mut children, |all| all.len() > 1000);
    let until = Instant::now();
    let mut calls = 0;
    while children.seen() < until {
        children.wait(Some(until)).expect("poll");
        calls += 1;
        assert!(calls < 1000, "it never counts");
    }
    children.kill(flood, Signal::SIGKILL);
    wait(&mut children, |all| closed(all) == 1);
}

#[test]
fn a_signal_to_a_child_that_has_exited_is_no_error() {
    let (_turn, mut children) = children();
    let child = children.spawn(shell("exit 0"));
    let pid = children.pid(child).expect("it was started");
    assert!(pid.as_raw() > 1);
    life(&mut children);
    // The system may have given its process id to another process.
    children.kill(child, Signal::SIGKILL);
    // The next event is this process's own signal.
    raise(Signal::SIGUSR1).expect("sent");
    let events = wait(&mut children, |all| !all.is_empty());
    assert_eq!(words(&events), ["SIGUSR1"], "no error");
    assert_eq!(children.pid(child), None, "after its close it is forgotten");
    children.kill(child, Signal::SIGKILL);
    assert!(children.wait(Some(Instant::now())).expect("poll").is_empty());
    // To send is an error, as in Node. A handle comes back.
    children.send(child, &Value::Null);
    children.send_handle(child, Value::Null, Handle::Udp(udp()));
    children.disconnect(child);
    let events = children.wait(Some(Instant::now())).expect("poll");
    let closed = "error ERR_IPC_CHANNEL_CLOSED";
    let again = "error ERR_IPC_DISCONNECTED";
    assert_eq!(words(&events), [closed, closed, "returned null", again]);
}

#[test]
fn a_child_that_cannot_be_started_has_events_too() {
    let (_turn, mut children) = children();
    let child = children.spawn(Command::new("/no/such/program"));
    assert_eq!(children.pid(child), None);
    let events = wait(&mut children, |all| closed(all) == 1);
    let [Event::Error(_, error), Event::Disconnect(_), Event::Close(_, outcome)] =
        &events[..]
    else {
        panic!("{events:?}")
    };
    assert!(matches!(error, ChildError::Start(..)), "{error:?}");
    assert_eq!(
        error.to_string(),
        "cannot start /no/such/program: No such file or directory"
    );
    assert_eq!(*outcome, Err(Errno::ENOENT));
    let next = children.spawn(shell("exit 1"));
    assert_ne!(next, child, "an id is never used again");
    assert_eq!(life(&mut children)[0], "spawn");
}

/// Node's spawn() throws these. In Rust, an error at the start is always an event.
#[test]
fn every_error_at_the_start_is_an_event() {
    let (_turn, mut children) = children();
    let mut long = Command::new("true");
    long.arg("x".repeat(4 << 20));
    let mut zero = Command::new("true");
    zero.arg("a\0b");
    for (command, code, errno) in [
        (Command::new("/dev/null/program"), "ENOTDIR", Errno::ENOTDIR),
        (long, "E2BIG", Errno::E2BIG),
        (zero, "EINVAL", Errno::EINVAL),
    ] {
        children.spawn(command);
        let (error, close) =
            (format!("error {code}"), format!("close Err({errno:?})"));
        assert_eq!(life(&mut children), [&error, "disconnect", &close]);
    }
}

#[test]
fn messages_and_handles_go_both_ways() {
    let (_turn, mut children) = children();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch04-events"));
    command.arg("worker");
    let child = children.spawn(command);
    children.send_handle(child, json!({"with": "a handle"}), Handle::Udp(udp()));
    children.send(child, &json!("behind it"));
    let events = wait(&mut children, |all| all.len() == 4);
    let expected = [
        "spawn",
        "acked",
        r#"message {"with":"a handle"}"#,
        r#"message "behind it""#,
    ];
    assert_eq!(words(&events), expected);
    children.disconnect(child);
    assert_eq!(
        life(&mut children),
        ["disconnect", "exit Exited(0)", "close Ok(Exited(0))"]
    );
}

fn udp() -> std::net::UdpSocket {
    std::net::UdpSocket::bind("127.0.0.1:0").expect("a port")
}
