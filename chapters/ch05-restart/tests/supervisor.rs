//! Every policy of the supervisor as plain functions: no process, and a clock that
//! the test moves.

mod common;

use std::time::Duration;

use ch04_events::Id;
use ch05_restart::{Action, Input};
use common::policy::{Policy, starts};

const EXIT: Action = Action::Exit { forced: false };

fn pause(milliseconds: u64) -> Action {
    Action::LogPause(Duration::from_millis(milliseconds))
}

#[test]
fn at_first_all_workers_are_started_at_once() {
    let mut policy = Policy::new(3);
    assert_eq!(policy.supervisor.deadline(), None, "nothing happens by itself");
    assert_eq!(policy.decide(), [Action::Start; 3]);
}

#[test]
fn when_all_are_ready_there_is_no_deadline() {
    let mut policy = Policy::ready(3);
    assert_eq!(policy.supervisor.deadline(), None, "no time-out, no wake-up");
    assert_eq!(policy.after(3_600_000), []);
}

// ANCHOR: drains
#[test]
fn a_worker_that_drains_is_replaced_at_once_and_only_once() {
    let mut policy = Policy::ready(2);
    let draining = Input::Draining(Id(0));
    assert_eq!(policy.tell(draining), [Action::Start], "before it has exited");
    policy.start_ready();
    assert!(!policy.supervisor.record(policy.now, draining), "the second message");
    assert_eq!(policy.decide(), []);
    assert_eq!(policy.tell(Input::Exited(Id(0))), [], "it was replaced before");
    assert_eq!(policy.tell(Input::Exited(Id(0))), [], "and is unknown now");
    assert_eq!(policy.supervisor.deadline(), None);
}
// ANCHOR_END: drains

#[test]
fn a_worker_that_is_killed_is_replaced_at_once_and_only_once() {
    let mut policy = Policy::ready(2);
    assert_eq!(policy.tell(Input::Exited(Id(1))), [Action::Start]);
    policy.start_ready();
    assert_eq!(policy.tell(Input::Exited(Id(1))), [], "an Id is never used again");
    assert_eq!(policy.tell(Input::Draining(Id(1))), []);
    assert_eq!(policy.tell(Input::Ready(Id(1))), []);
}

#[test]
fn workers_that_die_together_are_replaced_together() {
    let mut policy = Policy::ready(4);
    for id in 0..4 {
        policy.supervisor.record(policy.now, Input::Exited(Id(id)));
    }
    assert_eq!(policy.decide(), [Action::Start; 4]);
    for _ in 0..4 {
        policy.start_ready();
    }
    assert_eq!(policy.supervisor.deadline(), None);
}

// ANCHOR: pauses
#[test]
fn pauses_double_from_100_ms_to_5_s_and_stay_there() {
    let mut policy = Policy::new(1);
    assert_eq!(policy.decide(), [Action::Start]);
    for milliseconds in [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000] {
        let id = policy.started();
        assert_eq!(policy.tell(Input::Exited(id)), [pause(milliseconds)]);
        assert_eq!(policy.next_in(), Some(u128::from(milliseconds)));
        assert_eq!(policy.after(milliseconds - 1), [], "1 ms too early");
        assert_eq!(policy.after(1), [Action::Start], "after {milliseconds} ms");
    }
}
// ANCHOR_END: pauses

#[test]
fn a_worker_that_gets_ready_ends_the_pauses() {
    let mut policy = Policy::new(1);
    policy.decide();
    for milliseconds in [100, 200] {
        let id = policy.started();
        policy.tell(Input::Exited(id));
        assert_eq!(policy.after(milliseconds), [Action::Start]);
    }
    let id = policy.start_ready();
    assert_eq!(policy.tell(Input::Exited(id)), [Action::Start], "no pause at all");
    let id = policy.started();
    assert_eq!(policy.tell(Input::Exited(id)), [pause(100)], "100 ms again");
}

#[test]
fn several_that_fail_together_are_one_failure() {
    let mut policy = Policy::new(8);
    assert_eq!(starts(&policy.decide()), 8);
    let ids: Vec<Id> = (0..8).map(|_| policy.started()).collect();
    let actions: Vec<_> =
        ids.iter().flat_map(|&id| policy.tell(Input::Exited(id))).collect();
    assert_eq!(actions, [pause(100)], "one pause, not eight doublings");
    assert_eq!(starts(&policy.after(100)), 8);
}

#[test]
fn a_pause_also_holds_for_the_others() {
    let mut policy = Policy::ready(2);
    policy.tell(Input::Exited(Id(0)));
    let failing = policy.started();
    assert_eq!(policy.tell(Input::Exited(failing)), [pause(100)]);
    assert_eq!(policy.tell(Input::Exited(Id(1))), [], "it was ready before");
    assert_eq!(starts(&policy.after(100)), 2, "both, after the pause");
}

#[test]
fn to_drain_before_being_ready_is_a_failure_and_counts_once() {
    let mut policy = Policy::new(1);
    policy.decide();
    let id = policy.started();
    assert_eq!(policy.tell(Input::Draining(id)), [pause(100)]);
    assert_eq!(policy.tell(Input::Ready(id)), [], "too late");
    assert_eq!(policy.after(100), [Action::Start]);
    policy.start_ready();
    assert_eq!(policy.tell(Input::Exited(id)), [], "its exit is no second failure");
    assert_eq!(policy.supervisor.deadline(), None);
}

#[test]
fn a_worker_that_is_not_ready_in_30_s_is_killed() {
    let mut policy = Policy::new(1);
    policy.decide();
    let id = policy.started();
    assert_eq!(policy.next_in(), Some(30_000));
    assert_eq!(policy.after(29_999), []);
    assert_eq!(policy.after(1), [Action::Kill(id), pause(100)]);
    assert_eq!(policy.tell(Input::Ready(id)), [], "too late");
    assert_eq!(policy.after(100), [Action::Start]);
    policy.start_ready();
    assert_eq!(policy.tell(Input::Exited(id)), [], "it was counted already");
}

#[test]
fn a_worker_that_drains_for_more_than_5_5_s_is_killed_once() {
    let mut policy = Policy::ready(1);
    policy.tell(Input::Draining(Id(0)));
    policy.start_ready();
    assert_eq!(policy.next_in(), Some(5_500));
    assert_eq!(policy.after(5_499), []);
    assert_eq!(policy.after(1), [Action::Kill(Id(0))]);
    assert_eq!(policy.after(60_000), [], "not again");
    assert_eq!(policy.tell(Input::Exited(Id(0))), []);
}

/// The master itself was stopped for a while (SIGSTOP), and then reads what
/// arrived.
#[test]
fn what_arrived_counts_before_what_the_clock_says() {
    let mut policy = Policy::ready(2);
    policy.tell(Input::Draining(Id(0)));
    let starting = policy.started();
    let seen = policy.now;
    policy.now += Duration::from_secs(60);
    for input in [Input::Ready(starting), Input::Exited(Id(0))] {
        policy.supervisor.record(policy.now, input);
    }
    assert_eq!(policy.supervisor.decide(seen, policy.now), []);
    assert_eq!(policy.after(60_000), [], "nor later");

    // A deadline that is set after a long sleep is not in the past.
    let seen = policy.now;
    policy.now += Duration::from_secs(3600);
    policy.supervisor.record(policy.now, Input::Stop);
    let actions = policy.supervisor.decide(seen, policy.now);
    assert_eq!(actions, [Id(1), starting].map(Action::Terminate));
    assert_eq!(policy.next_in(), Some(5_500));
}

#[test]
fn where_2n_plus_8_run_no_other_starts_before_one_exits_and_that_is_told_once() {
    let mut policy = Policy::ready(2);
    let mut ready = vec![Id(0), Id(1)];
    for _ in 0..10 {
        let oldest = ready.remove(0);
        assert_eq!(policy.tell(Input::Draining(oldest)), [Action::Start]);
        ready.push(policy.start_ready());
    }
    let next = ready.remove(0);
    assert_eq!(policy.tell(Input::Draining(next)), [Action::LogFull(12)]);
    assert_eq!(policy.after(100), [], "told once");
    assert_eq!(
        policy.tell(Input::Exited(Id(5))),
        [Action::Start],
        "one has exited"
    );
    ready.push(policy.start_ready());
    let next = ready.remove(0);
    assert_eq!(policy.tell(Input::Draining(next)), [], "not told again");
    // When only 2 workers run, the limit is over. At the next time it is told again.
    policy.after(5_500);
    for id in (0..=11).filter(|&id| id != 5) {
        policy.supervisor.record(policy.now, Input::Exited(Id(id)));
    }
    assert_eq!(starts(&policy.decide()), 1);
    policy.start_ready();
    assert_eq!(policy.decide(), []);
}

#[test]
fn an_input_about_an_unknown_worker_changes_nothing() {
    let mut policy = Policy::ready(1);
    for about in [Input::Ready, Input::Draining, Input::Exited] {
        let input = about(Id(9));
        assert!(!policy.supervisor.record(policy.now, input), "{input:?}");
        assert_eq!(policy.decide(), [], "{input:?}");
        assert_eq!(policy.supervisor.deadline(), None, "{input:?}");
    }
}

#[test]
fn a_stop_asks_all_and_ends_with_the_last_worker() {
    let mut policy = Policy::ready(3);
    assert_eq!(
        policy.tell(Input::Stop),
        [0, 1, 2].map(|id| Action::Terminate(Id(id)))
    );
    for id in 0..2 {
        assert_eq!(policy.tell(Input::Draining(Id(id))), [], "no replacement now");
        assert_eq!(policy.tell(Input::Exited(Id(id))), []);
    }
    assert_eq!(policy.tell(Input::Exited(Id(2))), [EXIT], "with the last worker");
}

#[test]
fn without_workers_a_stop_ends_at_once() {
    let mut policy = Policy::ready(1);
    policy.tell(Input::Exited(Id(0)));
    let failing = policy.started();
    policy.tell(Input::Exited(failing));
    assert_eq!(policy.tell(Input::Stop), [EXIT], "in a pause");
}

#[test]
fn a_stop_leaves_a_draining_worker_alone_but_gives_it_no_more_time() {
    let mut policy = Policy::ready(1);
    policy.tell(Input::Draining(Id(0)));
    policy.start_ready();
    policy.after(3_000);
    assert_eq!(policy.tell(Input::Stop), [Action::Terminate(Id(1))]);
    assert_eq!(
        policy.after(2_500),
        [Action::Kill(Id(0))],
        "5.5 s after it began to drain"
    );
    assert_eq!(policy.after(3_000), [Action::Kill(Id(1))], "5.5 s after the stop");
    assert_eq!(policy.tell(Input::Exited(Id(0))), []);
    assert_eq!(policy.tell(Input::Exited(Id(1))), [EXIT]);
}

/// Another program may die of SIGTERM at once, so its channel is closed first.
#[test]
fn other_programs_get_sigterm_a_second_after_their_channel_was_closed() {
    let mut policy = Policy::ready(2);
    policy.supervisor = policy.supervisor.disconnect_first(true);
    let [a, b] = [Id(0), Id(1)];
    assert_eq!(policy.tell(Input::Stop), [a, b].map(Action::Disconnect));
    assert_eq!(policy.after(500), []);
    assert_eq!(policy.tell(Input::Exited(a)), []);
    assert_eq!(policy.after(499), []);
    assert_eq!(policy.after(1), [Action::Terminate(b)], "after a second");
    assert_eq!(policy.after(4_499), []);
    assert_eq!(policy.after(1), [Action::Kill(b)], "5.5 s after the stop");
    assert_eq!(policy.tell(Input::Exited(b)), [EXIT]);
}

#[test]
fn a_second_stop_kills_all() {
    let mut policy = Policy::ready(2);
    policy.tell(Input::Draining(Id(0)));
    policy.start_ready();
    policy.tell(Input::Stop);
    assert_eq!(policy.after(4), []);
    assert_eq!(
        policy.tell(Input::Stop),
        [],
        "timeout(1) sends the same signal twice"
    );
    policy.after(6);
    let exit = Action::Exit { forced: true };
    let [a, b, c] = [0, 1, 2].map(|id| Action::Kill(Id(id)));
    assert_eq!(policy.tell(Input::Stop), [a, b, c, exit], "and does not wait");
}

/// Chapter 6 has shorter limits of its own: its master says which worker is killed.
#[test]
fn a_worker_that_the_master_kills_before_it_is_ready_is_a_failure() {
    let mut policy = Policy::new(1);
    policy.decide();
    let id = policy.started();
    assert_eq!(policy.supervisor.kill(id), Some(Action::Kill(id)));
    assert_eq!(policy.supervisor.kill(id), None, "once");
    assert_eq!(policy.decide(), [pause(100)]);
    assert_eq!(policy.tell(Input::Exited(id)), [], "it was counted already");
    assert_eq!(policy.after(100), [Action::Start]);
    let ready = policy.start_ready();
    assert_eq!(policy.supervisor.kill(ready), Some(Action::Kill(ready)));
    assert_eq!(policy.decide(), [Action::Start], "that is no failed start");
}
