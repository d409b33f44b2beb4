//! A reload and chapter 5's supervisor together, as the master connects them, under
//! everything that can happen, in any order, at any time: what must hold always.

#[path = "common/dice.rs"]
mod dice;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::{Duration, Instant},
};

use ch04_events::Id;
use ch05_restart::{Action, Input, Supervisor};
use ch06_reload::{Order, Rollout, Stage};
use dice::Dice;

const START_LIMIT: Duration = Duration::from_secs(10);

/// So many games are played in each test. No two are the same.
const SEEDS: u64 = 700;

/// What the test knows of a worker.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Life {
    Starting,
    Ready,
    Draining,
    Killed,
}

/// What the workers of a generation do when nothing disturbs them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Nature {
    Good,
    /// They exit before they are ready.
    Exit,
    /// They are never ready.
    Hang,
    /// They exit as soon as they are ready.
    Crash,
    /// Some of them do this, others that.
    Mixed,
}

/// A world with a rollout and a supervisor in it: carries out what they say, and
/// checks it.
struct World {
    rollout: Rollout,
    supervisor: Supervisor,
    now: Instant,
    began: Instant,
    dice: Dice,
    workers: BTreeMap<Id, (u32, Life)>,
    started: u64,
    /// The workers that start now are of this generation.
    using: u32,
    /// While a reload is under way: the number of workers to go back to.
    before: Option<usize>,
    /// So many reloads were undone, and that was not said yet.
    undone: usize,
    /// So many workers must be ready: in a reload, the lower number.
    floor: usize,
    wanted: usize,
    /// The largest number that the supervisor was told.
    most: usize,
    natures: BTreeMap<u32, Nature>,
    drained: BTreeSet<Id>,
    killed: BTreeSet<Id>,
    /// The master counts crashes: no worker starts.
    paused: bool,
    stopping: Option<Instant>,
    exited: bool,
    /// While nothing disturbs the workers: how many were ready after the last step.
    calm: Option<usize>,
    history: Vec<(u128, Box<dyn Debug>)>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let wanted = [1, 2, 3, 5][dice.roll(4)];
        let now = Instant::now();
        let mut world = World {
            rollout: Rollout::new(wanted, START_LIMIT),
            supervisor: Supervisor::new(wanted).disconnect_first(seed % 4 == 0),
            now,
            began: now,
            dice,
            workers: BTreeMap::new(),
            started: 0,
            using: 1,
            before: None,
            undone: 0,
            floor: wanted,
            wanted,
            most: wanted,
            natures: BTreeMap::from([(1, Nature::Good)]),
            drained: BTreeSet::new(),
            killed: BTreeSet::new(),
            paused: false,
            stopping: None,
            exited: false,
            calm: None,
            history: Vec::new(),
        };
        world.decide();
        world
    }

    fn are(&self, lives: &[Life]) -> Vec<Id> {
        let found = self.workers.iter().filter(|(_, (_, it))| lives.contains(it));
        found.map(|(&id, _)| id).collect()
    }

    fn note(&mut self, what: impl Debug + 'static) {
        let time = (self.now - self.began).as_millis();
        self.history.push((time, Box::new(what)));
    }

    /// What this worker does when nothing disturbs it.
    fn nature(&self, id: Id, generation: u32) -> Nature {
        use Nature::{Crash, Exit, Good, Hang, Mixed};
        match self.natures[&generation] {
            Mixed => [Good, Exit, Good, Hang, Crash][id.0 as usize % 5],
            nature => nature,
        }
    }

    #[track_caller]
    fn must(&self, holds: bool, what: &str) {
        if !holds {
            let last = self.history.len().saturating_sub(40);
            let last = &self.history[last..];
            panic!("{what}; in ms: {last:#?}\n{:?}", self.workers);
        }
    }

    // What the master does.

    /// Something happened.
    fn record(&mut self, input: Input) {
        self.note(input);
        match input {
            Input::Started(id) => {
                self.workers.insert(id, (self.using, Life::Starting));
            }
            Input::Ready(id) => self.change(id, &[Life::Starting], Life::Ready),
            Input::Draining(id) => {
                self.change(id, &[Life::Starting, Life::Ready], Life::Draining);
            }
            Input::Exited(id) => {
                self.workers.remove(&id);
            }
            Input::Stop => {
                self.stopping.get_or_insert(self.now);
            }
        }
        self.supervisor.record(self.now, input);
        self.rollout.record(self.now, input);
        self.note_undone();
    }

    /// If the reload is over that was under way, the number before it counts again.
    fn note_undone(&mut self) {
        if self.rollout.is_reloading() {
            return;
        }
        if let Some(wanted) = self.before.take() {
            (self.wanted, self.floor) = (wanted, wanted);
            self.undone += 1;
        }
    }

    fn change(&mut self, id: Id, from: &[Life], to: Life) {
        if let Some((_, life)) = self.workers.get_mut(&id) {
            if from.contains(life) {
                *life = to;
            }
        }
    }

    fn decide(&mut self) {
        if self.stopping.is_none() {
            for order in self.rollout.decide(self.now) {
                self.carry_out_order(order);
            }
            let active = self.are(&[Life::Starting, Life::Ready]).len();
            let want = if self.paused { active } else { self.rollout.want() };
            self.most = self.most.max(want);
            self.supervisor.set_want(want);
        }
        let actions = self.supervisor.decide(self.now, self.now);
        // A worker's start is reported with the events that follow.
        let mut started = Vec::new();
        for action in actions {
            self.note(action);
            match action {
                Action::Start => {
                    self.must(self.stopping.is_none(), "no start after a stop");
                    started.push(Id(self.started));
                    self.started += 1;
                }
                Action::Exit { .. } => self.exited = true,
                action => self.carry_out(action),
            }
        }
        started.into_iter().for_each(|id| self.record(Input::Started(id)));
        self.check();
        if let Some(before) = self.calm {
            let ready = self.are(&[Life::Ready]).len();
            let enough = ready >= before.min(self.floor);
            self.must(enough, "no fewer are ready than wanted");
            self.calm = Some(ready);
        }
    }

    fn carry_out_order(&mut self, order: Order) {
        self.note(order);
        match order {
            Order::Use(generation) => self.using = generation,
            Order::Drain(id) => {
                let life = self.workers.get(&id).map(|&(_, life)| life);
                let active = matches!(life, Some(Life::Starting | Life::Ready));
                self.must(active, "a worker drains that has not done so before");
                let first = self.drained.insert(id);
                self.must(first, "once");
                let left = self.are(&[Life::Ready]).len();
                let enough = life == Some(Life::Starting) || left > self.floor;
                self.must(enough, "enough others are ready");
                let action = self.supervisor.drain(self.now, id);
                self.must(action.is_some(), "the supervisor knows it");
                action.into_iter().for_each(|action| self.carry_out(action));
            }
            Order::Kill(id) => {
                let life = self.workers.get(&id).map(|&(_, life)| life);
                self.must(life == Some(Life::Starting), "only one that starts");
                let action = self.supervisor.kill(id);
                self.must(action.is_some(), "the supervisor knows it");
                action.into_iter().for_each(|action| self.carry_out(action));
            }
            Order::Done(generation) => {
                self.must(generation == self.using, "done is what was begun");
                let reload = self.before.take();
                self.must(reload.is_some(), "a reload was under way");
                self.floor = self.wanted;
                let ids = self.are(&[Life::Starting, Life::Ready]);
                let new = |id: &Id| self.workers[id].0 == generation;
                self.must(ids.iter().all(new), "no old worker serves");
            }
            Order::Undone(_) => {
                self.note_undone();
                self.must(self.undone > 0, "a reload was under way");
                self.undone -= 1;
            }
        }
    }

    fn carry_out(&mut self, action: Action) {
        match action {
            Action::Kill(id) => {
                let first = self.killed.insert(id);
                self.must(first, "each is killed once at most");
                self.change(
                    id,
                    &[Life::Starting, Life::Ready, Life::Draining],
                    Life::Killed,
                );
            }
            Action::Terminate(id) | Action::Disconnect(id) => {
                self.change(id, &[Life::Starting, Life::Ready], Life::Draining);
            }
            _ => {}
        }
    }

    fn begin(&mut self) {
        if self.stopping.is_some() || self.rollout.is_busy() {
            return;
        }
        self.before = Some(self.wanted);
        let wanted = [self.wanted, 1 + self.dice.roll(5)][self.dice.roll(2)];
        self.floor = self.floor.min(wanted);
        self.wanted = wanted;
        let generation = self.rollout.begin(wanted, START_LIMIT);
        self.note(("reload", generation, "wanted", wanted));
        use Nature::{Crash, Exit, Good, Hang, Mixed};
        let nature = self.dice.pick(&[Good, Exit, Hang, Crash, Mixed, Mixed]);
        self.natures.insert(generation, nature.expect("one of six"));
    }

    fn resize(&mut self) {
        let wanted = match self.dice.roll(2) {
            0 => self.wanted + 1,
            _ => self.wanted.saturating_sub(1),
        };
        let wanted = wanted.clamp(1, 6);
        (self.wanted, self.floor) = (wanted, wanted);
        self.before = self.before.map(|_| wanted);
        self.note(("wanted", wanted));
        self.rollout.set_wanted(self.wanted);
    }

    /// When the master must decide again.
    fn deadline(&self) -> Option<Instant> {
        let rollout = self.rollout.deadline().filter(|_| self.stopping.is_none());
        rollout.into_iter().chain(self.supervisor.deadline()).min()
    }

    fn check(&self) {
        let bound = 2 * self.most + 8;
        self.must(self.workers.len() <= bound, "never more than 2N + 8 processes");
        let future = self.exited || self.deadline().is_none_or(|at| at > self.now);
        self.must(future, "a deadline is in the future");
        if let Some(since) = self.stopping {
            let late = since + Duration::from_secs(6) < self.now;
            let left = self.are(&[Life::Starting, Life::Ready, Life::Draining]);
            self.must(!late || left.is_empty(), "all are killed 6 s after a stop");
            return;
        }
        for (id, (generation, life)) in &self.workers {
            let member = self.rollout.members().get(id);
            self.must(member.is_some(), "the rollout knows each worker");
            let member = member.expect("this was checked");
            let stage = match member.stage {
                Stage::Starting => Life::Starting,
                Stage::Ready(_) => Life::Ready,
                Stage::Draining => Life::Draining,
            };
            let same = stage == *life || *life == Life::Killed;
            self.must(same, "the rollout knows what each worker does");
            self.must(member.generation == *generation, "and what it was told");
        }
        let members = self.rollout.members().len();
        self.must(members == self.workers.len(), "it knows no other worker");
    }

    // What happens.

    /// Anything, at any time.
    fn happen(&mut self) {
        let starting = self.are(&[Life::Starting]);
        let active = self.are(&[Life::Starting, Life::Ready]);
        let leaving = self.are(&[Life::Draining, Life::Killed]);
        let input = match self.dice.roll(11) {
            0..3 => self.dice.pick(&starting).map(Input::Ready),
            3 => self.dice.pick(&active).map(Input::Draining),
            4 => self.dice.pick(&active).map(Input::Exited),
            5 => self.dice.pick(&leaving).map(Input::Exited),
            6 => return self.begin(),
            7 if self.dice.roll(2) == 0 => return self.resize(),
            7 => {
                self.paused = !self.paused;
                None
            }
            8 => return self.wait(),
            _ => {
                let longest = [50, 300, 2_000, 20_000][self.dice.roll(4)];
                return self.sleep(longest);
            }
        };
        input.into_iter().for_each(|input| self.record(input));
        // The master handles several events before it decides.
        if self.dice.roll(2) == 0 {
            self.decide();
        }
    }

    /// Time passes, in milliseconds; never beyond the deadline, as in the master's loop.
    fn sleep(&mut self, longest: usize) {
        let until =
            self.now + Duration::from_millis(self.dice.roll(longest) as u64);
        let deadline = self.deadline();
        self.now = deadline.map_or(until, |at| until.min(at.max(self.now)));
        self.decide();
    }

    /// Sleeps until the next deadline.
    fn wait(&mut self) {
        self.now = self.deadline().map_or(self.now, |at| at.max(self.now));
        self.decide();
    }

    /// From now on nothing disturbs the workers: they do what they do by nature.
    /// Meanwhile the user asks for some reloads and other numbers of workers. Returns
    /// once nothing happens any more.
    fn come_to_rest(&mut self, mut wishes: usize) {
        self.paused = false;
        self.calm = Some(self.are(&[Life::Ready]).len());
        for _ in 0..500 {
            if wishes > 0 && self.dice.roll(6) == 0 {
                wishes -= 1;
                if self.dice.roll(3) == 0 { self.resize() } else { self.begin() }
            }
            let mut quiet = wishes == 0;
            for (id, (generation, life)) in self.workers.clone() {
                let inputs = match (life, self.nature(id, generation)) {
                    (Life::Ready, _) | (Life::Starting, Nature::Hang) => continue,
                    _ if self.dice.roll(3) == 0 => &[][..], // not yet
                    (Life::Draining | Life::Killed, _) => &[Input::Exited(id)],
                    (_, Nature::Exit) => &[Input::Exited(id)],
                    (_, Nature::Crash) => &[Input::Ready(id), Input::Exited(id)],
                    (_, _) => &[Input::Ready(id)],
                };
                quiet = false;
                inputs.iter().for_each(|&input| self.record(input));
            }
            self.decide();
            if self.deadline().is_some() {
                quiet = false;
                let longest = [1, 50, 6_000][self.dice.roll(3)];
                self.sleep(longest);
            }
            if quiet && self.are(&[Life::Starting]).is_empty() {
                self.calm = None;
                return self.check_rest();
            }
        }
        self.must(false, "it comes to rest");
    }

    fn check_rest(&self) {
        self.must(!self.rollout.is_busy(), "no reload is under way");
        self.must(self.before.is_none(), "it was said to be done or undone");
        self.must(self.wanted == self.rollout.wanted(), "as the user said");
        self.must(self.workers.len() == self.wanted, "so many workers run");
        self.must(self.are(&[Life::Ready]).len() == self.wanted, "all are ready");
        let generation = self.rollout.generation();
        let same = |&(it, _): &(u32, Life)| it == generation;
        self.must(self.workers.values().all(same), "all of one generation");
    }
}

#[test]
fn whatever_happens_the_server_comes_to_rest_with_all_workers_of_one_generation() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..world.dice.roll(150) {
            world.happen();
        }
        // Those that serve now, and those that an undo starts again, are good.
        world.natures.values_mut().for_each(|nature| *nature = Nature::Good);
        world.come_to_rest(0);
    }
}

/// Reloads to good and bad configurations, one worker more, one worker fewer: the
/// number of ready workers never falls below what is wanted.
#[test]
fn no_wish_of_the_user_takes_a_worker_that_is_needed() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        world.come_to_rest(0);
        for _ in 0..3 {
            let wishes = world.dice.roll(4);
            world.come_to_rest(wishes);
        }
    }
}

#[test]
fn a_stop_at_any_moment_ends_the_server_within_6_s() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        for _ in 0..world.dice.roll(100) {
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
    }
}
