//! The supervisor under everything that can happen, in any order, at any time: what
//! must hold always.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use ch04_events::Id;
use ch05_restart::{Action, Input};
use common::dice::Dice;
use common::policy::Policy;

/// What can be said about a worker.
const ABOUT_A_WORKER: [fn(Id) -> Input; 3] =
    [Input::Ready, Input::Draining, Input::Exited];

/// What the test knows of a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Starting,
    Ready,
    Draining,
    Killed,
}

/// A world with a supervisor in it: carries out the actions, and checks them.
struct World {
    policy: Policy,
    dice: Dice,
    want: usize,
    workers: BTreeMap<Id, Life>,
    /// Workers that were started, and workers that went out of service.
    started: usize,
    lost: usize,
    killed: BTreeSet<Id>,
    disconnected: BTreeSet<Id>,
    /// When the server was asked to stop, on the policy's clock.
    stopping: Option<u128>,
    exited: bool,
    history: Vec<(u128, Box<dyn Debug>)>,
}

impl World {
    fn new(seed: u64, want: usize) -> World {
        let mut policy = Policy::new(want);
        policy.supervisor = policy.supervisor.disconnect_first(seed % 2 == 0);
        let mut world = World {
            policy,
            dice: Dice::new(seed),
            want,
            workers: BTreeMap::new(),
            started: 0,
            lost: 0,
            killed: BTreeSet::new(),
            disconnected: BTreeSet::new(),
            stopping: None,
            exited: false,
            history: Vec::new(),
        };
        world.decide();
        world
    }

    fn are(&self, lives: &[Life]) -> Vec<Id> {
        let found = self.workers.iter().filter(|(_, life)| lives.contains(life));
        found.map(|(&id, _)| id).collect()
    }

    fn record(&mut self, input: Input) {
        let before = self.are(&[Life::Starting, Life::Ready]).len();
        let changes = match input {
            Input::Started(id) => self.workers.insert(id, Life::Starting).is_none(),
            Input::Ready(id) => self.change(id, &[Life::Starting], Life::Ready),
            Input::Draining(id) => {
                self.change(id, &[Life::Starting, Life::Ready], Life::Draining)
            }
            Input::Exited(id) => self.workers.remove(&id).is_some(),
            Input::Stop => {
                self.stopping.get_or_insert(self.policy.clock());
                true
            }
        };
        let after = self.are(&[Life::Starting, Life::Ready]).len();
        self.lost += before.saturating_sub(after);
        let recorded = self.policy.supervisor.record(self.policy.now, input);
        self.history.push((self.policy.clock(), Box::new(input)));
        // The model has no state `Disconnected`: while the server stops, they differ.
        let exempt = matches!(input, Input::Stop) || self.stopping.is_some();
        self.must(
            exempt || recorded == changes,
            "record tells whether it changes anything",
        );
    }

    fn decide(&mut self) {
        let actions = self.policy.decide();
        self.history.push((self.policy.clock(), Box::new(actions.clone())));
        for action in actions {
            self.carry_out(action);
        }
        self.check();
    }

    fn change(&mut self, id: Id, from: &[Life], to: Life) -> bool {
        let life = self.workers.get_mut(&id).filter(|life| from.contains(life));
        life.map(|life| *life = to).is_some()
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Start => {
                self.must(self.stopping.is_none(), "no start after a stop");
                self.started += 1;
                self.record(Input::Started(Id(self.started as u64)));
            }
            Action::Kill(id) => {
                let first =
                    self.killed.insert(id) && self.workers.contains_key(&id);
                self.must(
                    first,
                    "each is killed once at most, and while it exists",
                );
                self.lose(id, Life::Killed);
            }
            Action::Disconnect(id) => {
                self.must(self.stopping.is_some(), "only at the end");
                let first = self.disconnected.insert(id);
                self.must(first, "once");
            }
            Action::Terminate(id) => {
                self.must(self.stopping.is_some(), "SIGTERM only at the end");
                self.lose(id, Life::Draining);
            }
            Action::Exit { .. } => {
                let left = self.are(&[Life::Starting, Life::Ready, Life::Draining]);
                self.must(left.is_empty(), "no worker is left behind");
                self.exited = true;
            }
            Action::LogPause(_) | Action::LogFull(_) => {}
        }
    }

    fn lose(&mut self, id: Id, life: Life) {
        let before = self.workers.insert(id, life);
        let active = matches!(before, Some(Life::Starting | Life::Ready));
        self.lost += usize::from(active);
    }

    fn check(&self) {
        let active = self.are(&[Life::Starting, Life::Ready]).len();
        self.must(active <= self.want, "never more than N that serve or will");
        self.must(self.started <= self.want + self.lost, "one start for each loss");
        self.must(
            self.workers.len() <= 2 * self.want + 8,
            "never more than 2N + 8",
        );
        if self.exited {
            return;
        }
        let next = self.policy.supervisor.deadline();
        let future = next.is_none_or(|at| at > self.policy.now);
        self.must(future, "a deadline is in the future");
        if self.stopping.is_none() && self.are(&[Life::Ready]).len() == self.want {
            let waits = !self.are(&[Life::Draining]).is_empty();
            let quiet = next.is_some() == waits;
            self.must(quiet, "no wake-up when all are ready and none drains");
        }
        let since = self.stopping.unwrap_or(self.policy.clock());
        let late = self.policy.clock() > since + 6_000;
        let left = self.are(&[Life::Starting, Life::Ready, Life::Draining]);
        self.must(!late || left.is_empty(), "all are killed 6 s after a stop");
    }

    #[track_caller]
    fn must(&self, holds: bool, what: &str) {
        if !holds {
            let last = self.history.len().saturating_sub(40);
            panic!(
                "{what}; N = {}, in ms: {:#?}",
                self.want,
                &self.history[last..]
            );
        }
    }

    /// Something happens: mostly what can happen, sometimes nonsense.
    fn happen(&mut self) {
        let all: Vec<Id> = self.workers.keys().copied().collect();
        let starting = self.are(&[Life::Starting]);
        let leaving = self.are(&[Life::Draining, Life::Killed]);
        let input = match self.dice.roll(8) {
            0 => self.dice.pick(&starting).map(Input::Ready),
            1 => self.dice.pick(&all).map(Input::Draining),
            2 => self.dice.pick(&all).map(Input::Exited),
            3 => self.dice.pick(&leaving).map(Input::Exited),
            4 => self.dice.pick(&ABOUT_A_WORKER).map(|about| about(Id(!0))),
            5 => self.dice.pick(&all).map(Input::Ready),
            6 => return self.sleep(),
            _ => None,
        };
        if let Some(input) = input {
            self.record(input);
        }
        // The master handles several events before it decides.
        if self.dice.roll(2) == 0 {
            self.decide();
        }
    }

    /// Time passes; never beyond the deadline, as in the master's loop.
    fn sleep(&mut self) {
        let longest = [1, 50, 1_000, 20_000][self.dice.roll(4)];
        let pause = Duration::from_millis(self.dice.roll(longest) as u64);
        let until = self.policy.now + pause;
        let deadline = self.policy.supervisor.deadline();
        self.policy.now =
            deadline.map_or(until, |at| until.min(at.max(self.policy.now)));
        self.decide();
    }

    /// Sleeps until the next deadline.
    fn wait(&mut self) {
        if let Some(next) = self.policy.supervisor.deadline() {
            self.policy.now = next.max(self.policy.now);
        }
        self.decide();
    }
}

fn for_many(mut game: impl FnMut(World)) {
    for seed in 0..50 {
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
        // Peace: workers get ready, and none exits before it is asked to.
        for _ in 0..200 {
            for id in world.are(&[Life::Starting]) {
                world.record(Input::Ready(id));
            }
            for id in world.are(&[Life::Killed]) {
                world.record(Input::Exited(id));
            }
            world.wait();
        }
        let ready = world.are(&[Life::Ready]).len();
        world.must(ready == world.want, "all are ready again");
        world.must(world.workers.len() == world.want, "and no other worker runs");
        world.must(world.policy.next_in().is_none(), "and there is no deadline");
    });
}

#[test]
fn a_stop_kills_all_within_6_s_and_then_ends_whatever_happens() {
    for_many(|mut world| {
        for _ in 0..world.dice.roll(200) {
            world.happen();
        }
        world.record(Input::Stop);
        world.decide();
        while !world.exited {
            match world.dice.roll(3) {
                0 => world.wait(),
                _ => world.happen(),
            }
        }
    });
}
