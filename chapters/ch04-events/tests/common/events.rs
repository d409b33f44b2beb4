//! For tests that use `Children` in the test's own process. A process has one
//! `Children` at a time, so they take turns.

use std::{
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use ch04_events::{Children, Event, Id};
use testkit::Signal;

use super::{LONG, bash};

/// A `Children`. Other tests wait for theirs until the guard is dropped.
pub fn children() -> (MutexGuard<'static, ()>, Children) {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    (turn, Children::new(&[Signal::SIGUSR1]).expect("the only one"))
}

/// A child in bash: see `bash`.
pub fn shell(script: &str) -> Command {
    let [program, arguments @ ..] = bash(script);
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

/// The child that an event is about, and the event in a few words.
pub fn described(event: &Event) -> (Option<Id>, String) {
    match event {
        Event::Spawn(id) => (Some(*id), "spawn".to_owned()),
        Event::Message(id, message, None) => {
            (Some(*id), format!("message {message}"))
        }
        Event::Message(id, message, Some(_)) => {
            (Some(*id), format!("handle {message}"))
        }
        Event::Acked(id) => (Some(*id), "acked".to_owned()),
        Event::Returned(id, message, _) => {
            (Some(*id), format!("returned {message}"))
        }
        Event::Output(id, _) => (Some(*id), "output".to_owned()),
        Event::Disconnect(id) => (Some(*id), "disconnect".to_owned()),
        Event::Exit(id, status) => (Some(*id), format!("exit {status:?}")),
        Event::Close(id, outcome) => (Some(*id), format!("close {outcome:?}")),
        Event::Error(id, error) => (Some(*id), format!("error {}", error.code())),
        Event::Signal(signal) => (None, signal.to_string()),
        Event::Readable => (None, "readable".to_owned()),
    }
}

/// The events in words, without the ids.
pub fn words(events: &[Event]) -> Vec<String> {
    events.iter().map(|event| described(event).1).collect()
}

/// Collects events until `done` holds for them.
#[track_caller]
pub fn wait(
    children: &mut Children,
    mut done: impl FnMut(&[Event]) -> bool,
) -> Vec<Event> {
    let until = Instant::now() + LONG;
    let mut all = Vec::new();
    while !done(&all) {
        let last = words(&all[all.len().saturating_sub(20)..]);
        assert!(children.seen() < until, "in vain; the last events: {last:?}");
        all.extend(children.wait(Some(until)).expect("poll"));
    }
    all
}

/// How many of the events are the last ones of their child.
pub fn closed(events: &[Event]) -> usize {
    events.iter().filter(|event| matches!(event, Event::Close(..))).count()
}

/// The events up to the first `Close`, in words.
#[track_caller]
pub fn life(children: &mut Children) -> Vec<String> {
    words(&wait(children, |all| closed(all) == 1))
}

/// Collects events until `word` is among them.
#[track_caller]
pub fn wait_for(children: &mut Children, word: &str) -> Vec<Event> {
    wait(children, |all| words(all).iter().any(|it| it == word))
}
