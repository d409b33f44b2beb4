//! Every policy of a reload as plain functions: no process, and a clock that the test
//! moves.

use std::time::{Duration, Instant};

use ch04_events::Id;
use ch05_restart::Input;
use ch06_reload::{Order, Rollout, Stage};

const START_LIMIT: Duration = Duration::from_secs(10);

/// A rollout, its time, and the next worker's number.
struct Policy {
    rollout: Rollout,
    now: Instant,
    next: u64,
}

impl Policy {
    /// `wanted` workers, all of them ready: 0 to `wanted` - 1.
    fn ready(wanted: usize) -> Policy {
        let rollout = Rollout::new(wanted, START_LIMIT);
        let mut policy = Policy { rollout, now: Instant::now(), next: 0 };
        assert_eq!(policy.missing(), wanted);
        for _ in 0..wanted {
            policy.start_ready();
        }
        assert_eq!(policy.decide(), []);
        assert_eq!(policy.missing(), 0);
        policy
    }

    /// The user asks for a reload to `wanted` workers.
    fn reload(&mut self, wanted: usize) -> Vec<Order> {
        self.rollout.begin(wanted, START_LIMIT);
        self.decide()
    }

    /// A reload whose first new worker is good: one of the old workers drains.
    fn half_done(old: usize, wanted: usize) -> (Policy, Id) {
        let mut policy = Policy::ready(old);
        policy.reload(wanted);
        let first = policy.start_ready();
        policy.after(250);
        (policy, first)
    }

    fn tell(&mut self, input: Input) -> Vec<Order> {
        self.rollout.record(self.now, input);
        self.decide()
    }

    fn decide(&mut self) -> Vec<Order> {
        self.rollout.decide(self.now)
    }

    fn after(&mut self, milliseconds: u64) -> Vec<Order> {
        self.now += Duration::from_millis(milliseconds);
        self.decide()
    }

    /// A worker starts.
    fn started(&mut self) -> Id {
        let id = Id(self.next);
        self.next += 1;
        self.rollout.record(self.now, Input::Started(id));
        id
    }

    /// A worker starts, and gets ready.
    fn start_ready(&mut self) -> Id {
        let id = self.started();
        self.rollout.record(self.now, Input::Ready(id));
        id
    }

    /// How many workers the supervisor must start.
    fn missing(&self) -> usize {
        let members = self.rollout.members().values();
        let active = members.filter(|it| it.stage != Stage::Draining).count();
        self.rollout.want().saturating_sub(active)
    }

    /// Milliseconds until the next decision.
    fn next_in(&self) -> Option<u128> {
        let deadline = self.rollout.deadline();
        deadline.map(|at| at.saturating_duration_since(self.now).as_millis())
    }

    /// The generations of the workers that are starting or ready.
    fn generations(&self) -> Vec<u32> {
        let members = self.rollout.members().values();
        let active = members.filter(|it| it.stage != Stage::Draining);
        active.map(|it| it.generation).collect()
    }
}

#[test]
fn nothing_happens_by_itself() {
    let mut policy = Policy::ready(3);
    assert_eq!(policy.rollout.deadline(), None);
    assert_eq!(policy.after(3_600_000), []);
    assert!(!policy.rollout.is_busy());
}

// ANCHOR: rolling
#[test]
fn a_reload_replaces_one_worker_after_another_the_oldest_first() {
    let mut policy = Policy::ready(2);
    assert_eq!(policy.reload(2), [Order::Use(2)]);
    assert_eq!(policy.missing(), 1, "one more than wanted");
    let first = policy.started();
    assert_eq!(policy.after(9_000), [], "it is not ready");
    assert_eq!(policy.tell(Input::Ready(first)), [], "it may crash at once");
    assert_eq!(policy.after(249), []);
    assert_eq!(policy.after(1), [Order::Drain(Id(0))], "it has not");

    assert_eq!(policy.missing(), 1);
    let second = policy.started();
    assert_eq!(policy.after(9_000), [], "it is not ready");
    let last = [Order::Drain(Id(1)), Order::Done(2)];
    assert_eq!(policy.tell(Input::Ready(second)), last);
    assert_eq!(policy.missing(), 0);
    assert_eq!(policy.rollout.deadline(), None);
}
// ANCHOR_END: rolling

// ANCHOR: undo
#[test]
fn a_new_worker_that_exits_before_it_is_ready_undoes_the_reload() {
    let mut policy = Policy::ready(2);
    policy.reload(2);
    let new = policy.started();
    let undone = [Order::Undone(new), Order::Use(1)];
    assert_eq!(policy.tell(Input::Exited(new)), undone);
    assert_eq!(policy.missing(), 0, "the old workers serve on");
    assert!(!policy.rollout.is_busy());
    assert_eq!(policy.reload(2), [Order::Use(3)], "a number is never used again");
}
// ANCHOR_END: undo

#[test]
fn the_first_new_worker_must_stay_ready_for_250_ms() {
    for input in [Input::Exited, Input::Draining] {
        let mut policy = Policy::ready(2);
        policy.reload(2);
        let new = policy.start_ready();
        assert_eq!(policy.next_in(), Some(250));
        policy.after(249);
        // Now it is long enough, but the master has not noticed that.
        policy.now += Duration::from_millis(1);
        assert_eq!(policy.tell(input(new)), [Order::Undone(new), Order::Use(1)]);
        assert_eq!(policy.missing(), 0);
    }
}

#[test]
fn no_later_one_may_crash_right_after_it_is_ready() {
    for (milliseconds, undone) in [(0, true), (249, true), (250, false)] {
        let (mut policy, _) = Policy::half_done(3, 3);
        let second = policy.start_ready();
        assert_eq!(policy.decide(), [Order::Drain(Id(1))], "at once");
        policy.after(milliseconds);
        let orders = policy.tell(Input::Exited(second));
        let expected = [Order::Undone(second), Order::Use(1)];
        assert_eq!(orders, if undone { &expected[..] } else { &[] });
        assert_eq!(policy.missing(), 2, "it, and the next one of the reload");
    }
}

/// All of that between two decisions: it must not start again and again.
#[test]
fn a_new_worker_that_is_ready_and_exits_at_the_same_time_undoes_the_reload() {
    let (mut policy, _) = Policy::half_done(2, 2);
    let second = policy.start_ready();
    let undone = [Order::Undone(second), Order::Use(1)];
    assert_eq!(policy.tell(Input::Exited(second)), undone);
}

#[test]
fn a_new_worker_that_is_not_ready_in_time_is_killed_and_undoes_the_reload() {
    let mut policy = Policy::ready(1);
    policy.rollout.begin(1, Duration::from_secs(2));
    policy.decide();
    let new = policy.started();
    assert_eq!(policy.next_in(), Some(2_000), "the limit of the new configuration");
    assert_eq!(policy.after(1_999), []);
    let undone = [Order::Undone(new), Order::Use(1), Order::Kill(new)];
    assert_eq!(policy.after(1), undone);
    assert_eq!(policy.rollout.deadline(), None);
    assert_eq!(policy.tell(Input::Ready(new)), [], "too late");
    assert!(policy.rollout.is_busy(), "it has not exited");
    assert_eq!(policy.tell(Input::Exited(new)), []);
    assert!(!policy.rollout.is_busy());
    policy.tell(Input::Exited(Id(0)));
    policy.started();
    assert_eq!(policy.next_in(), Some(10_000), "the limit of the old one again");
}

#[test]
fn without_a_reload_a_late_worker_is_killed_too() {
    let mut policy = Policy::ready(2);
    policy.tell(Input::Exited(Id(0)));
    let late = policy.started();
    assert_eq!(policy.after(9_999), []);
    assert_eq!(policy.after(1), [Order::Kill(late)]);
    assert_eq!(policy.missing(), 1);
    assert_eq!(policy.after(10_000), [], "once");
}

#[test]
fn an_undo_replaces_the_new_workers_one_after_another() {
    let (mut policy, first) = Policy::half_done(3, 3);
    let second = policy.start_ready();
    policy.decide();
    policy.after(250);
    let third = policy.started();
    let undone = [Order::Undone(third), Order::Use(1)];
    assert_eq!(policy.tell(Input::Draining(third)), undone);
    assert_eq!(policy.generations(), [1, 2, 2]);
    assert_eq!(policy.missing(), 1, "one at a time");
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(first)], "nothing must be proved");
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(second)]);
    assert_eq!(policy.missing(), 0);
    assert_eq!(policy.generations(), [1, 1, 1]);
}

/// Its workers do not start any more. The reload that follows may be the cure.
#[test]
fn after_an_undo_that_fails_another_reload_may_begin() {
    let (mut policy, first) = Policy::half_done(2, 2);
    let second = policy.started();
    policy.tell(Input::Exited(second));
    for _ in 0..3 {
        let old = policy.started();
        assert_eq!(
            policy.tell(Input::Exited(old)),
            [],
            "there is no other way back"
        );
        assert_eq!(policy.missing(), 1);
    }
    assert_eq!(policy.generations(), [1, 2]);
    assert!(!policy.rollout.is_busy());
    assert_eq!(policy.reload(2), [Order::Use(3)]);
    policy.start_ready();
    assert_eq!(policy.after(250), [Order::Drain(Id(1))]);
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(first), Order::Done(3)]);
}

#[test]
fn a_reload_to_more_workers_starts_them_when_the_first_is_good() {
    let mut policy = Policy::ready(2);
    policy.reload(4);
    assert_eq!(policy.missing(), 1, "only the first");
    policy.start_ready();
    assert_eq!(policy.after(250), [], "two and one are no more than four");
    assert_eq!(policy.missing(), 2);
    policy.start_ready();
    assert_eq!(policy.decide(), []);
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(Id(0))]);
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(Id(1)), Order::Done(2)]);
    assert_eq!(policy.generations(), [2; 4]);
}

#[test]
fn a_reload_to_fewer_workers_drains_several_when_the_first_is_good() {
    let mut policy = Policy::ready(4);
    policy.reload(2);
    policy.start_ready();
    assert_eq!(policy.after(249), []);
    assert_eq!(policy.after(1), [0, 1, 2].map(|id| Order::Drain(Id(id))));
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(Id(3)), Order::Done(2)]);
    assert_eq!(policy.generations(), [2; 2]);
}

#[test]
fn an_undo_restores_the_number_of_workers() {
    for wanted in [2, 5] {
        let (mut policy, first) = Policy::half_done(3, wanted);
        let second = policy.started();
        policy.tell(Input::Exited(second));
        assert_eq!(policy.rollout.wanted(), 3);
        while policy.missing() > 0 {
            policy.start_ready();
            policy.decide();
        }
        assert_eq!(policy.rollout.members()[&first].stage, Stage::Draining);
        assert_eq!(policy.generations(), [1; 3]);
    }
}

#[test]
fn one_more_starts_and_one_fewer_drains_the_oldest() {
    let mut policy = Policy::ready(2);
    policy.rollout.set_wanted(3);
    assert_eq!(policy.missing(), 1);
    policy.start_ready();
    assert_eq!(policy.decide(), []);
    policy.rollout.set_wanted(1);
    assert_eq!(policy.decide(), [0, 1].map(|id| Order::Drain(Id(id))));
    assert_eq!(policy.missing(), 0);
}

#[test]
fn one_fewer_while_one_starts_drains_the_oldest_once_that_one_is_ready() {
    let mut policy = Policy::ready(2);
    policy.rollout.set_wanted(3);
    let third = policy.started();
    policy.rollout.set_wanted(2);
    assert_eq!(policy.decide(), []);
    assert_eq!(policy.tell(Input::Ready(third)), [Order::Drain(Id(0))]);
}

#[test]
fn one_fewer_during_a_reload_drains_an_old_one() {
    let mut policy = Policy::ready(4);
    policy.reload(4);
    policy.rollout.set_wanted(3);
    assert_eq!(policy.decide(), [Order::Drain(Id(0))]);
    assert_eq!(policy.missing(), 1, "still one more, of the new generation");
    policy.start_ready();
    policy.rollout.set_wanted(2);
    assert_eq!(policy.decide(), [Order::Drain(Id(1))], "the new one counts later");
    assert_eq!(policy.after(250), [Order::Drain(Id(2))]);
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(Id(3)), Order::Done(2)]);
}

#[test]
fn what_the_user_says_during_a_reload_counts_after_its_undo_too() {
    let mut policy = Policy::ready(2);
    policy.reload(2);
    let new = policy.started();
    policy.rollout.set_wanted(3);
    assert_eq!(policy.missing(), 1, "and one for the reload");
    policy.tell(Input::Exited(new));
    assert_eq!(policy.missing(), 1);
    policy.start_ready();
    assert_eq!(policy.decide(), []);
    assert_eq!(policy.generations(), [1; 3]);
}

#[test]
fn a_starting_worker_of_the_old_generation_drains_at_once() {
    let mut policy = Policy::ready(2);
    policy.tell(Input::Exited(Id(0)));
    let outdated = policy.started();
    assert_eq!(policy.reload(2), [Order::Use(2), Order::Drain(outdated)]);
    assert_eq!(policy.missing(), 2, "in its place, and for the reload");
    assert_eq!(policy.tell(Input::Ready(outdated)), [], "too late");
    assert_eq!(policy.tell(Input::Exited(outdated)), [], "that is no failure");
    assert!(policy.rollout.is_reloading());
}

#[test]
fn an_old_worker_that_crashes_is_replaced_by_a_new_one() {
    let mut policy = Policy::ready(2);
    policy.reload(2);
    let first = policy.started();
    assert_eq!(policy.tell(Input::Exited(Id(1))), []);
    assert_eq!(policy.missing(), 1);
    let second = policy.start_ready();
    assert_eq!(policy.after(200), []);
    assert_eq!(policy.tell(Input::Ready(first)), [], "three, but none is good yet");
    let last = [Order::Drain(Id(0)), Order::Done(2)];
    assert_eq!(policy.after(50), last, "one is");
    assert_eq!(policy.generations(), [2; 2]);
    assert!(policy.rollout.members().contains_key(&second));
}

#[test]
fn if_all_old_workers_crash_the_reload_goes_on() {
    let mut policy = Policy::ready(2);
    policy.reload(2);
    policy.started();
    policy.tell(Input::Exited(Id(0)));
    policy.tell(Input::Draining(Id(1)));
    assert_eq!(policy.missing(), 1, "the old one that drains serves no new client");
    let second = policy.start_ready();
    assert_eq!(policy.after(249), []);
    assert_eq!(policy.after(1), [Order::Done(2)]);
    assert_eq!(policy.tell(Input::Exited(second)), [], "nothing to go back to");
    assert_eq!(policy.missing(), 1);
}

#[test]
fn if_all_old_workers_crash_and_the_new_one_too_the_old_ones_start_again() {
    let mut policy = Policy::ready(2);
    policy.reload(2);
    let new = policy.started();
    for id in 0..2 {
        policy.tell(Input::Exited(Id(id)));
    }
    let other = policy.start_ready();
    policy.tell(Input::Exited(new));
    assert_eq!(policy.rollout.generation(), 1);
    assert_eq!(policy.missing(), 2, "one of the new workers serves meanwhile");
    policy.start_ready();
    assert_eq!(policy.decide(), []);
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(other)]);
    assert_eq!(policy.generations(), [1; 2]);
}

/// Otherwise a client that is slow could keep the workers of many reloads alive.
#[test]
fn the_next_reload_waits_until_the_old_workers_have_exited() {
    let (mut policy, _) = Policy::half_done(2, 2);
    policy.start_ready();
    assert_eq!(policy.decide(), [Order::Drain(Id(1)), Order::Done(2)]);
    assert!(!policy.rollout.is_reloading());
    policy.tell(Input::Exited(Id(1)));
    assert!(policy.rollout.is_busy(), "worker 0 drains");
    policy.tell(Input::Exited(Id(0)));
    assert!(!policy.rollout.is_busy());
    assert_eq!(policy.reload(2), [Order::Use(3)]);
    policy.start_ready();
    assert_eq!(policy.after(250), [Order::Drain(Id(2))], "now the oldest");
}

/// The master itself was stopped for a while (SIGSTOP), and then reads what
/// arrived.
#[test]
fn what_arrived_counts_before_what_the_clock_says() {
    let mut policy = Policy::ready(1);
    policy.reload(1);
    let new = policy.started();
    let seen = policy.now;
    policy.now += Duration::from_secs(60);
    policy.rollout.record(policy.now, Input::Ready(new));
    assert_eq!(policy.rollout.decide(seen), [], "not killed");
    assert_eq!(policy.decide(), [], "and not ready for 60 s");
    assert_eq!(policy.after(250), [Order::Drain(Id(0)), Order::Done(2)]);
}

#[test]
fn an_input_about_an_unknown_worker_changes_nothing() {
    let mut policy = Policy::ready(1);
    policy.reload(1);
    for about in [Input::Ready, Input::Draining, Input::Exited] {
        assert_eq!(policy.tell(about(Id(9))), []);
    }
    assert_eq!(policy.tell(Input::Stop), []);
    assert!(policy.rollout.is_reloading());
}
