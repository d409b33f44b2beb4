//! The supervisor under all that can happen, in any order, at any time: what must hold always.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ch04_events::Id;
use ch05_restart::{Action, Input};
use common::dice::Dice;
use common::policy::Policy;

/// What can be said about a worker.
const ABOUT_A_WORKER: [fn(Id) -> Input; 3] =
    [Input::Ready, Input::Suicide, Input::Gone];

/// What the test knows of a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Starting,
    Ready,
    Draining,
    Killed,
}

/// A world with a supervisor in it, which notes what was done and checks it.
struct World {
    policy: Policy,
    dice: Dice,
    want: usize,
    workers: BTreeMap<Id, Life>,
    /// Starts that were asked for and not carried out yet.
    under_way: usize,
    /// Starts, and reasons for them.
    started: usize,
    lost: usize,
    killed: BTreeSet<Id>,
    /// When it was asked to end, on the policy's clock.
    stopping: Option<u128>,
    exited: bool,
    history: Vec<String>,
}

impl World {
    fn new(seed: u64, want: usize) -> World {
        let mut world = World {
            policy: Policy::new(want),
            dice: Dice::new(seed),
            want,
            workers: BTreeMap::new(),
            under_way: 0,
            started: 0,
            lost: 0,
            killed: BTreeSet::new(),
            stopping: None,
            exited: false,
            history: Vec::new(),
        };
        world.step(Input::Tick);
        world
    }

    fn are(&self, lives: &[Life]) -> Vec<Id> {
        self.workers
            .iter()
            .filter(|(_, life)| lives.contains(life))
            .map(|(&id, _)| id)
            .collect()
    }

    fn step(&mut self, input: Input) {
        let before = self.are(&[Life::Starting, Life::Ready]).len();
        match input {
            Input::Started(id) => {
                self.under_way -= 1;
                self.workers.insert(id, Life::Starting);
            }
            Input::Ready(id) => self.change(id, &[Life::Starting], Life::Ready),
            Input::Suicide(id) => {
                self.change(id, &[Life::Starting, Life::Ready], Life::Draining)
            }
            Input::Gone(id) => drop(self.workers.remove(&id)),
            Input::Terminate => {
                self.stopping = self.stopping.or(Some(self.policy.clock()))
            }
            Input::Tick => {}
        }
        let actions = self.policy.step(input);
        self.history
            .push(format!("{} ms: {input:?} -> {actions:?}", self.policy.clock()));
        for action in actions {
            self.done(action);
        }
        let after = self.are(&[Life::Starting, Life::Ready]).len();
        self.lost += before.saturating_sub(after);
        self.check();
    }

    fn change(&mut self, id: Id, from: &[Life], to: Life) {
        if let Some(life) =
            self.workers.get_mut(&id).filter(|life| from.contains(life))
        {
            *life = to;
        }
    }

    fn done(&mut self, action: Action) {
        match action {
            Action::Start => {
                self.must(self.stopping.is_none(), "no start after Terminate");
                self.under_way += 1;
                self.started += 1;
            }
            Action::Kill(id) => {
                let first =
                    self.killed.insert(id) && self.workers.contains_key(&id);
                self.must(
                    first,
                    "each is killed once at most, and only while it is there",
                );
                self.workers.insert(id, Life::Killed);
            }
            Action::Drain(id) => {
                self.must(self.stopping.is_some(), "SIGTERM only at the end");
                self.change(id, &[Life::Starting, Life::Ready], Life::Draining);
            }
            Action::Exit { .. } => self.exited = true,
            Action::CloseListener | Action::Say(_) => {}
        }
    }

    fn check(&self) {
        let serving =
            self.are(&[Life::Starting, Life::Ready]).len() + self.under_way;
        self.must(serving <= self.want, "never more than N that serve or will");
        self.must(
            self.started <= self.want + self.lost,
            "one start for each that was lost",
        );
        let draining = self.are(&[Life::Draining]).len();
        self.must(
            draining <= 2 * self.want + 8,
            "never more than 2N + 8 that drain",
        );
        if self.exited {
            return;
        }
        let next = self.policy.supervisor.deadline();
        self.must(
            next.is_none_or(|at| at > self.policy.now),
            "a deadline is in the future",
        );
        if self.stopping.is_none() && self.are(&[Life::Ready]).len() == self.want {
            let waits = self.workers.values().any(|life| *life == Life::Draining);
            self.must(
                next.is_some() == waits,
                "no wake-up when all are ready and nobody drains",
            );
        }
        let late =
            self.stopping.is_some_and(|since| self.policy.clock() > since + 6_000);
        self.must(!late, "it ends within 6 s of Terminate");
    }

    #[track_caller]
    fn must(&self, holds: bool, what: &str) {
        let last = self.history.len().saturating_sub(40);
        assert!(
            holds,
            "{what}; N = {}\n{}",
            self.want,
            self.history[last..].join("\n")
        );
    }

    /// Something happens: mostly what can happen, sometimes nonsense.
    fn happen(&mut self) {
        let all: Vec<Id> = self.workers.keys().copied().collect();
        let starting = self.are(&[Life::Starting]);
        let leaving = self.are(&[Life::Draining, Life::Killed]);
        let input = match self.dice.roll(10) {
            0 | 1 if self.under_way > 0 => return self.carry_out(),
            2 => self.dice.pick(&starting).map(Input::Ready),
            3 => self.dice.pick(&all).map(Input::Suicide),
            4 => self.dice.pick(&all).map(Input::Gone),
            5 => self.dice.pick(&leaving).map(Input::Gone),
            6 => self.dice.pick(&ABOUT_A_WORKER).map(|it| it(Id(!0))),
            7 => self.dice.pick(&all).map(Input::Ready),
            8 => return self.sleep(),
            _ => None,
        };
        self.step(input.unwrap_or(Input::Tick));
    }

    fn carry_out(&mut self) {
        let id = Id(self.started as u64 * 1000 + self.under_way as u64);
        self.step(Input::Started(id));
    }

    /// Time passes; never beyond the deadline without a Tick, as in the master's loop.
    fn sleep(&mut self) {
        let longest = [1, 50, 1_000, 20_000][self.dice.roll(4)];
        let pause = Duration::from_millis(self.dice.roll(longest) as u64);
        let until = self.policy.now + pause;
        self.policy.now =
            self.policy.supervisor.deadline().map_or(until, |next| until.min(next));
        self.step(Input::Tick);
    }

    /// Sleeps to the next deadline. A Tick there has to change something, or the loop would spin.
    fn wait(&mut self) {
        let Some(next) = self.policy.supervisor.deadline() else { return };
        self.policy.now = next;
        self.step(Input::Tick);
    }
}

fn for_many(mut game: impl FnMut(World)) {
    for seed in 0..100 {
        for want in [1, 2, 3, 7] {
            game(World::new(seed * 10 + want as u64, want));
        }
    }
}

#[test]
fn whatever_happens_the_promises_hold_and_peace_brings_all_workers_back() {
    for_many(|mut world| {
        for _ in 0..world.dice.roll(400) {
            world.happen();
        }
        // Peace: whatever is asked for is done, and nobody dies of himself.
        for _ in 0..200 {
            while world.under_way > 0 {
                world.carry_out();
            }
            for id in world.are(&[Life::Starting]) {
                world.step(Input::Ready(id));
            }
            for id in world.are(&[Life::Killed]) {
                world.step(Input::Gone(id));
            }
            world.wait();
        }
        world.must(
            world.are(&[Life::Ready]).len() == world.want,
            "all are ready again",
        );
        world.must(world.workers.len() == world.want, "and nobody else is there");
        world.must(
            world.policy.supervisor.deadline().is_none(),
            "and nothing is waited for",
        );
    });
}

#[test]
fn asked_to_end_it_ends_within_6_s_whatever_happens() {
    for_many(|mut world| {
        for _ in 0..world.dice.roll(200) {
            world.happen();
        }
        world.step(Input::Terminate);
        while !world.exited {
            match world.dice.roll(3) {
                0 => world.wait(),
                _ => world.happen(),
            }
        }
    });
}
