//! Solution.

use std::collections::BTreeMap;

use crate::harness::{Action, Event};

// ANCHOR: rollout
/// A rolling reload: which worker starts next, and which one drains. It starts no
/// process and reads no clock.
pub struct Rollout {
    wanted: usize,
    /// The workers that are starting or ready, by their numbers. A worker that
    /// drains or was killed is not among them.
    workers: BTreeMap<u32, Worker>,
    /// The number of the last worker that was started.
    last: u32,
    current: u32,
    /// The highest number that a generation has had.
    newest: u32,
    /// During a reload: the generation that was current before.
    before: Option<u32>,
    /// Another reload was asked for.
    again: bool,
}

struct Worker {
    generation: u32,
    is_ready: bool,
}
// ANCHOR_END: rollout

impl Rollout {
    // ANCHOR: new
    /// A server that wants `wanted` workers, at least one. They are ready, their
    /// numbers are 1 to `wanted`, and they are of generation 1, which is current.
    pub fn new(wanted: usize) -> Rollout {
        let worker = |number| (number, Worker { generation: 1, is_ready: true });
        let last = wanted as u32;
        Rollout {
            wanted,
            workers: (1..=last).map(worker).collect(),
            last,
            current: 1,
            newest: 1,
            before: None,
            again: false,
        }
    }
    // ANCHOR_END: new

    // ANCHOR: step
    /// Decides what to do about `event`. The order of the actions is yours.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Reload => self.again = true,
            Event::Ready(number) => {
                if let Some(worker) = self.workers.get_mut(&number) {
                    worker.is_ready = true;
                }
            }
            Event::Late(number) => {
                if self.workers.get(&number).is_some_and(|it| !it.is_ready) {
                    actions.push(Action::Kill(number));
                    self.lose(number, &mut actions);
                }
            }
            Event::Exited(number) => self.lose(number, &mut actions),
        }
        self.drain_surplus(&mut actions);
        self.finish(&mut actions);
        self.begin();
        self.drain_useless(&mut actions);
        self.start_missing(&mut actions);
        actions
    }
    // ANCHOR_END: step

    // ANCHOR: lose
    /// A worker exits, or is killed. If it is a new one and was not ready, the
    /// reload has failed.
    fn lose(&mut self, number: u32, actions: &mut Vec<Action>) {
        let Some(worker) = self.workers.remove(&number) else { return };
        let has_failed = !worker.is_ready && worker.generation == self.current;
        if let Some(before) = self.before.take_if(|_| has_failed) {
            actions.push(Action::Undone(self.current));
            self.current = before;
        }
    }
    // ANCHOR_END: lose

    // ANCHOR: drain
    fn drain_surplus(&mut self, actions: &mut Vec<Action>) {
        if self.ready() <= self.wanted {
            return;
        }
        let oldest = self.outdated().next();
        if let Some(number) = oldest {
            self.workers.remove(&number);
            actions.push(Action::Drain(number));
        }
    }

    fn drain_useless(&mut self, actions: &mut Vec<Action>) {
        let outdated: Vec<u32> = self.outdated().collect();
        for number in outdated {
            if !self.workers[&number].is_ready {
                self.workers.remove(&number);
                actions.push(Action::Drain(number));
            }
        }
    }

    /// How many workers are ready.
    fn ready(&self) -> usize {
        self.workers.values().filter(|it| it.is_ready).count()
    }

    /// The outdated workers, the oldest first.
    fn outdated(&self) -> impl Iterator<Item = u32> {
        let workers = self.workers.iter();
        workers.filter(|(_, it)| it.generation != self.current).map(|(&it, _)| it)
    }
    // ANCHOR_END: drain

    // ANCHOR: reload
    /// Ends the reload, if nothing is left to do.
    fn finish(&mut self, actions: &mut Vec<Action>) {
        let are_new = self.outdated().next().is_none();
        if self.before.is_some() && are_new && self.ready() == self.wanted {
            self.before = None;
            actions.push(Action::Done(self.current));
        }
    }

    /// Begins the next reload, if one was asked for and none is under way.
    fn begin(&mut self) {
        if self.again && self.before.is_none() {
            self.again = false;
            self.before = Some(self.current);
            self.newest += 1;
            self.current = self.newest;
        }
    }
    // ANCHOR_END: reload

    // ANCHOR: start
    fn start_missing(&mut self, actions: &mut Vec<Action>) {
        let one_more = self.outdated().next().is_some();
        let needed = self.wanted + usize::from(one_more);
        while self.workers.len() < needed {
            self.last += 1;
            let worker = Worker { generation: self.current, is_ready: false };
            self.workers.insert(self.last, worker);
            actions.push(Action::Start(self.last, self.current));
        }
    }
    // ANCHOR_END: start
}
