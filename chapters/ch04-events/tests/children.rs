//! Many children, one place to wait. A process has one such place, so these tests take turns.

mod common;

use std::{
    collections::BTreeMap,
    process::{Command, Stdio, id},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ch01_fork_ipc::ExitStatus;
use ch03_handles::Handle;
use ch04_events::{ChildError, Children, Event, Id};
use common::{LONG, bash};
use nix::{
    errno::Errno,
    sys::signal::{Signal, raise},
};
use serde_json::{Value, json};
use testkit::zombies_of;

/// The children of nobody else, for as long as the guard is held.
fn children() -> (MutexGuard<'static, ()>, Children) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (turn, Children::new(&[Signal::SIGUSR1]).expect("the only one"))
}

fn shell(script: &str) -> Command {
    let [program, arguments @ ..] = bash(script);
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// An event in a word or two, and whose it is.
fn told(event: &Event) -> (Option<Id>, String) {
    match event {
        Event::Spawn(id) => (Some(*id), "spawn".to_owned()),
        Event::Message(id, message, _) => (Some(*id), format!("message {message}")),
        Event::Acked(id) => (Some(*id), "acked".to_owned()),
        Event::Returned(id, ..) => (Some(*id), "returned".to_owned()),
        Event::Output(id, _) => (Some(*id), "output".to_owned()),
        Event::Disconnect(id) => (Some(*id), "disconnect".to_owned()),
        Event::Exit(id, ended) => (Some(*id), format!("exit {ended:?}")),
        Event::Close(id, outcome) => (Some(*id), format!("close {outcome:?}")),
        Event::Error(id, error) => (Some(*id), format!("error {}", error.code())),
        Event::Signal(signal) => (None, signal.to_string()),
    }
}

/// Waits until `done` of all that has happened since the call, and returns that.
#[track_caller]
fn wait(
    children: &mut Children,
    mut done: impl FnMut(&[Event]) -> bool,
) -> Vec<Event> {
    let until = Instant::now() + LONG;
    let mut all = Vec::new();
    while !done(&all) {
        all.extend(children.wait(Some(until)).expect("poll"));
        let words: Vec<_> = all.iter().rev().take(20).map(told).collect();
        assert!(
            Instant::now() < until,
            "in vain; the last events, backwards: {words:?}"
        );
    }
    all
}

fn closed(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Close(..))).count()
}

/// All that a child does, in words.
#[track_caller]
fn life(children: &mut Children) -> Vec<String> {
    wait(children, |all| closed(all) == 1)
        .iter()
        .map(|event| told(event).1)
        .collect()
}

#[test]
fn two_hundred_children_at_once_and_each_has_its_events_in_order() {
    let (_turn, mut children) = children();
    let ids: Vec<Id> = (0..200)
        .map(|n| children.spawn(shell(&format!("say {n}; exit {}", n % 256))))
        .collect();
    let mut lives: BTreeMap<Id, Vec<String>> = BTreeMap::new();
    for event in wait(&mut children, |all| closed(all) == 200) {
        let (id, word) = told(&event);
        lives.entry(id.expect("no signal was sent")).or_default().push(word);
    }
    for (n, id) in ids.into_iter().enumerate() {
        let ended = ExitStatus::Exited(n as i32 % 256);
        let (exit, close) =
            (format!("exit {ended:?}"), format!("close Ok({ended:?})"));
        let expected =
            ["spawn", &format!("message {n}"), "disconnect", &exit, &close];
        assert_eq!(lives.remove(&id).expect("it has lived"), expected, "child {n}");
    }
    assert_eq!(zombies_of(id() as i32), [], "all must be waited for");
}

#[test]
fn one_that_floods_does_not_keep_the_others_waiting() {
    let (_turn, mut children) = children();
    let flood = children.spawn(shell("exec yes 1 >&$fd"));
    wait(&mut children, |all| all.len() > 1000);
    let other = children.spawn(shell("say '\"hi\"'; exit 2"));
    let events = wait(&mut children, |all| closed(all) == 1);
    let words: Vec<_> =
        events.iter().map(told).filter(|(id, _)| *id == Some(other)).collect();
    assert_eq!(words.len(), 5, "{words:?}");
    children.kill(flood, Signal::SIGKILL);
    let events = wait(&mut children, |all| closed(all) == 1);
    assert_eq!(
        told(events.last().expect("an end")).1,
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
        "returned",
        again,
        "exit Exited(4)",
        "close Ok(Exited(4))",
    ];
    assert_eq!(life(&mut children), expected);
}

#[test]
fn a_signal_to_one_that_has_ended_is_nothing() {
    let (_turn, mut children) = children();
    let child = children.spawn(shell("exit 0"));
    let pid = children.pid(child).expect("it was started");
    assert!(pid.as_raw() > 1);
    life(&mut children);
    // Its number may be another process's by now.
    children.kill(child, Signal::SIGKILL);
    // What comes next is another's: a signal to itself.
    raise(Signal::SIGUSR1).expect("sent");
    let events = wait(&mut children, |all| !all.is_empty());
    let words: Vec<_> = events.iter().map(told).collect();
    assert_eq!(words, [(None, "SIGUSR1".to_owned())], "no error");
    assert_eq!(children.pid(child), None, "after its close it is forgotten");
    children.kill(child, Signal::SIGKILL);
    assert!(children.wait(Some(Instant::now())).expect("poll").is_empty());
    // To send is an error, as in Node. A handle comes back.
    children.send(child, &Value::Null);
    children.send_handle(child, Value::Null, Handle::Udp(udp()));
    children.disconnect(child);
    let events = children.wait(Some(Instant::now())).expect("poll");
    let words: Vec<_> = events.iter().map(|event| told(event).1).collect();
    let closed = "error ERR_IPC_CHANNEL_CLOSED";
    assert_eq!(words, [closed, closed, "returned", "error ERR_IPC_DISCONNECTED"]);
}

#[test]
fn one_that_cannot_be_started_has_events_too() {
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

#[test]
fn messages_and_handles_go_both_ways() {
    let (_turn, mut children) = children();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ch04-events"));
    command.arg("worker");
    let child = children.spawn(command);
    children.send_handle(child, json!({"with": "a handle"}), Handle::Udp(udp()));
    children.send(child, &json!("behind it"));
    let events = wait(&mut children, |all| all.len() == 4);
    let words: Vec<String> = events.iter().map(|event| told(event).1).collect();
    let expected = [
        "spawn",
        "acked",
        r#"message {"with":"a handle"}"#,
        r#"message "behind it""#,
    ];
    assert_eq!(words, expected);
    children.disconnect(child);
    assert_eq!(
        life(&mut children),
        ["disconnect", "exit Exited(0)", "close Ok(Exited(0))"]
    );
}

fn udp() -> std::net::UdpSocket {
    std::net::UdpSocket::bind("127.0.0.1:0").expect("a port")
}
