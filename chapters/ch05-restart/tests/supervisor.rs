//! Every policy of the supervisor as plain functions: no process, and a clock that the test moves.

mod common;

use ch04_events::Id;
use ch05_restart::{Action, Input};
use common::policy::{Policy, deeds, starts};

#[test]
fn nothing_happens_before_the_first_step_and_then_all_are_started_at_once() {
    let mut policy = Policy::new(3);
    assert_eq!(policy.supervisor.deadline(), None, "nothing happens by itself");
    assert_eq!(policy.tick(), [Action::Start, Action::Start, Action::Start]);
    assert_eq!(policy.tick(), [], "they were asked for: not again");
}

#[test]
fn a_full_house_has_nothing_to_wait_for() {
    let mut policy = Policy::ready(3);
    assert_eq!(
        policy.supervisor.deadline(),
        None,
        "all are ready: no time-out, no wake-up"
    );
    assert_eq!(policy.after(3_600_000), []);
}

// ANCHOR: suicide_test
#[test]
fn a_suicide_is_replaced_at_once_and_only_once() {
    let mut policy = Policy::ready(2);
    assert_eq!(
        policy.step(Input::Suicide(Id(0))),
        [Action::Start],
        "before the old one has ended"
    );
    assert_eq!(policy.step(Input::Suicide(Id(0))), [], "said twice");
    policy.start_ready();
    assert_eq!(
        policy.step(Input::Suicide(Id(0))),
        [],
        "said once more, after its replacement"
    );
    assert_eq!(
        policy.step(Input::Gone(Id(0))),
        [],
        "it was replaced when it said so"
    );
    assert_eq!(policy.step(Input::Gone(Id(0))), [], "and is unknown by now");
    assert_eq!(policy.supervisor.deadline(), None);
}
// ANCHOR_END: suicide_test

#[test]
fn a_sudden_death_is_replaced_at_once_and_only_once() {
    let mut policy = Policy::ready(2);
    assert_eq!(policy.step(Input::Gone(Id(1))), [Action::Start]);
    assert_eq!(policy.step(Input::Gone(Id(1))), [], "a number is never used again");
    assert_eq!(policy.step(Input::Suicide(Id(1))), [], "words of the dead");
    assert_eq!(policy.step(Input::Ready(Id(1))), []);
}

#[test]
fn all_that_die_at_once_are_replaced_at_once() {
    let mut policy = Policy::ready(4);
    let started: usize =
        (0..4).map(|id| starts(&policy.step(Input::Gone(Id(id))))).sum();
    assert_eq!(started, 4);
    for _ in 0..4 {
        policy.start_ready();
    }
    assert_eq!(policy.supervisor.deadline(), None);
}

// ANCHOR: pauses_test
#[test]
fn pauses_double_from_100_ms_to_5_s_and_stay_there() {
    let mut policy = Policy::new(1);
    assert_eq!(policy.tick(), [Action::Start]);
    for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000] {
        let id = policy.started();
        let actions = policy.step(Input::Gone(id));
        assert_eq!(deeds(actions.clone()), [], "no start before the pause is over");
        let said = format!("{actions:?}");
        assert!(
            said.contains(&format!("{pause} ms")),
            "the user is told of {pause} ms: {said}"
        );
        assert_eq!(policy.next_in(), Some(pause), "the pause is the next deadline");
        assert_eq!(policy.after(pause as u64 - 1), [], "1 ms too early");
        assert_eq!(policy.after(1), [Action::Start], "after {pause} ms");
    }
}
// ANCHOR_END: pauses_test

#[test]
fn a_worker_that_gets_ready_ends_the_pauses() {
    let mut policy = Policy::new(1);
    policy.tick();
    for pause in [100, 200] {
        let id = policy.started();
        policy.step(Input::Gone(id));
        assert_eq!(policy.after(pause), [Action::Start]);
    }
    let id = policy.start_ready();
    assert_eq!(
        policy.step(Input::Gone(id)),
        [Action::Start],
        "it was ready: no pause at all"
    );
    let id = policy.started();
    policy.step(Input::Gone(id));
    assert_eq!(
        policy.next_in(),
        Some(100),
        "and the next failure begins with 100 ms again"
    );
}

#[test]
fn several_that_fail_together_are_one_failure() {
    let mut policy = Policy::new(8);
    assert_eq!(starts(&policy.tick()), 8);
    let ids: Vec<Id> = (0..8).map(|_| policy.started()).collect();
    let said: usize =
        ids.iter().map(|&id| policy.step(Input::Gone(id)).len()).sum();
    assert_eq!(said, 1, "told once");
    assert_eq!(policy.next_in(), Some(100), "and one pause, not eight doublings");
    assert_eq!(starts(&policy.after(100)), 8);
}

#[test]
fn a_pause_also_holds_for_the_others() {
    let mut policy = Policy::ready(2);
    policy.step(Input::Gone(Id(0)));
    let failing = policy.started();
    assert_eq!(deeds(policy.step(Input::Gone(failing))), []);
    assert_eq!(
        policy.step(Input::Gone(Id(1))),
        [],
        "it was ready, but the pause is on"
    );
    assert_eq!(starts(&policy.after(100)), 2, "both, after the pause");
}

#[test]
fn a_suicide_before_ready_is_a_failure_and_is_counted_once() {
    let mut policy = Policy::new(1);
    policy.tick();
    let id = policy.started();
    assert_eq!(
        deeds(policy.step(Input::Suicide(id))),
        [],
        "no replacement without a pause"
    );
    assert_eq!(policy.next_in(), Some(100));
    assert_eq!(policy.step(Input::Ready(id)), [], "too late");
    assert_eq!(policy.after(100), [Action::Start]);
    assert_eq!(policy.step(Input::Gone(id)), [], "its end is no second failure");
    policy.start_ready();
    assert_eq!(policy.supervisor.deadline(), None);
}

#[test]
fn one_that_does_not_get_ready_in_30_s_is_killed() {
    let mut policy = Policy::new(1);
    policy.tick();
    let id = policy.started();
    assert_eq!(policy.next_in(), Some(30_000));
    assert_eq!(policy.after(29_999), []);
    assert_eq!(deeds(policy.after(1)), [Action::Kill(id)]);
    assert_eq!(policy.step(Input::Ready(id)), [], "too late");
    assert_eq!(
        policy.after(100),
        [Action::Start],
        "that was a failure, so there is a pause"
    );
    assert_eq!(policy.step(Input::Gone(id)), [], "and it was counted");
}

#[test]
fn one_that_drains_for_more_than_5_5_s_is_killed_once() {
    let mut policy = Policy::ready(1);
    policy.step(Input::Suicide(Id(0)));
    policy.start_ready();
    assert_eq!(policy.next_in(), Some(5_500));
    assert_eq!(policy.after(5_499), []);
    assert_eq!(policy.after(1), [Action::Kill(Id(0))]);
    assert_eq!(policy.after(60_000), [], "not again");
    assert_eq!(policy.step(Input::Gone(Id(0))), []);
}

#[test]
fn where_2n_plus_8_live_the_oldest_that_drains_makes_room_after_a_second() {
    let mut policy = Policy::ready(2);
    let mut serving = vec![Id(0), Id(1)];
    for _ in 0..10 {
        let oldest = serving.remove(0);
        assert_eq!(
            policy.step(Input::Suicide(oldest)),
            [Action::Start],
            "10 may drain, beside 2"
        );
        serving.push(policy.start_ready());
        policy.after(10);
    }
    let next = serving.remove(0);
    assert_eq!(
        policy.step(Input::Suicide(next)),
        [],
        "there is no room for another"
    );
    assert_eq!(
        policy.next_in(),
        Some(900),
        "until the oldest has drained for a second"
    );
    assert_eq!(policy.after(899), []);
    assert_eq!(policy.after(1), [Action::Kill(Id(0)), Action::Start]);
    policy.start_ready();
    let next = serving.remove(0);
    assert_eq!(policy.step(Input::Suicide(next)), []);
    assert_eq!(
        policy.step(Input::Gone(Id(5))),
        [Action::Start],
        "or until one has ended"
    );
}

#[test]
fn what_is_unknown_changes_nothing() {
    let mut policy = Policy::ready(1);
    for input in [Input::Ready(Id(9)), Input::Suicide(Id(9)), Input::Gone(Id(9))] {
        assert_eq!(policy.step(input), [], "{input:?}");
        assert_eq!(policy.supervisor.deadline(), None, "{input:?}");
    }
}
