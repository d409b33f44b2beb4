//! How the supervisor ends: still plain functions.

mod common;

use ch04_events::Id;
use ch05_restart::{Action, Input};
use common::policy::{Policy, starts};

const DONE: Action = Action::Exit { forced: false };

#[test]
fn the_listener_closes_first_and_then_all_drain() {
    let mut policy = Policy::ready(3);
    let [a, b, c] = [0, 1, 2].map(|id| Action::Drain(Id(id)));
    assert_eq!(policy.step(Input::Terminate), [Action::CloseListener, a, b, c]);
    for id in 0..2 {
        assert_eq!(
            policy.step(Input::Suicide(Id(id))),
            [],
            "nobody is replaced any more"
        );
        assert_eq!(policy.step(Input::Gone(Id(id))), []);
    }
    assert_eq!(policy.step(Input::Gone(Id(2))), [DONE], "with the last worker");
}

#[test]
fn with_nobody_there_it_ends_at_once() {
    let mut policy = Policy::ready(1);
    policy.step(Input::Gone(Id(0)));
    let failing = policy.started();
    policy.step(Input::Gone(failing));
    assert_eq!(
        policy.step(Input::Terminate),
        [Action::CloseListener, DONE],
        "in a pause"
    );
}

#[test]
fn one_that_starts_is_asked_to_end_when_it_is_ready() {
    let mut policy = Policy::new(1);
    policy.tick();
    let id = policy.started();
    let actions = policy.step(Input::Terminate);
    assert_eq!(
        actions,
        [Action::CloseListener],
        "it may see to those who wait in the listener"
    );
    assert_eq!(policy.after(500), []);
    assert_eq!(policy.step(Input::Ready(id)), [Action::Drain(id)]);
    assert_eq!(policy.step(Input::Gone(id)), [DONE]);
}

#[test]
fn one_that_does_not_get_ready_is_asked_to_end_after_a_second() {
    let mut policy = Policy::new(1);
    policy.tick();
    let id = policy.started();
    policy.step(Input::Terminate);
    assert_eq!(policy.next_in(), Some(1_000));
    assert_eq!(policy.after(999), []);
    assert_eq!(policy.after(1), [Action::Drain(id)]);
    assert_eq!(policy.step(Input::Ready(id)), [], "it was asked already");
    assert_eq!(policy.step(Input::Gone(id)), [DONE]);
}

/// The master can be told of its end between a start and the word that it was carried out.
#[test]
fn a_start_that_was_under_way_at_the_end_is_asked_to_end_too() {
    let mut policy = Policy::ready(2);
    assert_eq!(starts(&policy.step(Input::Gone(Id(0)))), 1);
    policy.step(Input::Terminate);
    let late = policy.started();
    assert_eq!(policy.step(Input::Gone(Id(1))), [], "there is still the late one");
    let actions = policy.after(1_000);
    assert_eq!(
        actions,
        [Action::Drain(late)],
        "as any other that is not ready after a second"
    );
}

#[test]
fn it_does_not_end_while_a_start_is_under_way() {
    let mut policy = Policy::ready(1);
    assert_eq!(starts(&policy.step(Input::Gone(Id(0)))), 1);
    let actions = policy.step(Input::Terminate);
    assert_eq!(
        actions,
        [Action::CloseListener],
        "a worker was asked for: what becomes of it?"
    );
}

#[test]
fn one_that_drains_already_is_asked_again_but_gets_no_more_time() {
    let mut policy = Policy::ready(1);
    policy.step(Input::Suicide(Id(0)));
    policy.start_ready();
    policy.after(3_000);
    let actions = policy.step(Input::Terminate);
    assert_eq!(
        actions,
        [Action::CloseListener, Action::Drain(Id(0)), Action::Drain(Id(1))]
    );
    assert_eq!(
        policy.after(2_500),
        [Action::Kill(Id(0))],
        "5.5 s after its suicide"
    );
    assert_eq!(
        policy.after(3_000),
        [Action::Kill(Id(1))],
        "5.5 s after it was asked"
    );
}

#[test]
fn nobody_is_waited_for_longer_than_6_s() {
    let mut policy = Policy::ready(2);
    policy.step(Input::Terminate);
    let begun = policy.clock();
    let mut actions = Vec::new();
    while !actions.contains(&DONE) {
        let pause = policy.next_in().expect("there is a deadline until the end");
        actions.extend(policy.after(pause as u64));
        assert!(policy.clock() - begun < 6_000, "{actions:?}");
    }
    let kills = [Action::Kill(Id(0)), Action::Kill(Id(1))];
    assert!(
        kills.iter().all(|kill| actions.contains(kill)),
        "left alive: {actions:?}"
    );
}

/// A worker that was asked after a second may drain until 6.5 s; the master ends before that.
#[test]
fn whoever_is_left_at_the_end_is_killed() {
    let mut policy = Policy::new(1);
    policy.tick();
    let id = policy.started();
    policy.step(Input::Terminate);
    let mut actions = policy.after(1_000);
    while !actions.contains(&DONE) {
        let pause = policy.next_in().expect("there is a deadline until the end");
        actions.extend(policy.after(pause as u64));
    }
    assert!(actions.contains(&Action::Kill(id)), "left alive: {actions:?}");
}

#[test]
fn asked_twice_it_kills_all_and_ends() {
    let mut policy = Policy::ready(2);
    policy.step(Input::Suicide(Id(0)));
    policy.start_ready();
    policy.step(Input::Terminate);
    assert_eq!(policy.after(4), []);
    assert_eq!(
        policy.step(Input::Terminate),
        [],
        "timeout(1) signals process and group: one request"
    );
    policy.after(1);
    let actions = policy.step(Input::Terminate);
    for id in 0..3 {
        assert!(
            actions.contains(&Action::Kill(Id(id))),
            "worker {id} is left: {actions:?}"
        );
    }
    let end = actions.iter().find(|action| matches!(action, Action::Exit { .. }));
    assert_eq!(end, Some(&Action::Exit { forced: true }), "{actions:?}");
}
