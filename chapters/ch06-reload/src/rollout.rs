// ANCHOR: top
//! Decides which worker is replaced next while the server runs on. Like chapter 5's
//! supervisor it does nothing itself: it is told what happened, and says what to do.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ch04_events::Id;
use ch05_restart::Input;
// ANCHOR_END: top

// ANCHOR: settle
/// A worker of the new generation that has been ready for so long is good. The first
/// one must be, before the first worker of the old generation drains.
const SETTLE_TIME: Duration = Duration::from_millis(250);
// ANCHOR_END: settle

// ANCHOR: order
/// What the master must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Workers that start from now on get the configuration of this generation.
    Use(u32),
    /// Let this worker drain.
    Drain(Id),
    /// Kill this worker: it is not ready in time.
    Kill(Id),
    /// Tell the user: all workers that serve are of this generation now.
    Done(u32),
    /// Tell the user: this worker failed, so the reload is undone.
    Undone(Id),
}
// ANCHOR_END: order

// ANCHOR: worker
/// What a worker does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It has no listener yet.
    Starting,
    /// It accepts connections, since this time.
    Ready(Instant),
    /// It accepts no more, and answers its open connections.
    Draining,
}

/// A worker that has not exited.
#[derive(Debug, Clone, Copy)]
pub struct Member {
    /// The number of the configuration that it was started with.
    pub generation: u32,
    /// When it was started.
    pub started: Instant,
    /// What it does.
    pub stage: Stage,
}
// ANCHOR_END: worker

// ANCHOR: fields
/// How many workers of which generation must run.
#[derive(Debug)]
pub struct Rollout {
    wanted: usize,
    /// How long a worker may take to become ready.
    start_limit: Duration,
    /// The generation of the workers that start from now on.
    generation: u32,
    /// The highest number that a generation has had.
    newest: u32,
    reload: Option<Reload>,
    members: BTreeMap<Id, Member>,
    orders: Vec<Order>,
}

/// A reload that is not done: what to go back to if it fails.
#[derive(Debug)]
struct Reload {
    generation: u32,
    wanted: usize,
    start_limit: Duration,
    /// A worker of the new generation has been ready for a while.
    proven: bool,
}
// ANCHOR_END: fields

impl Rollout {
    // ANCHOR: new
    /// Returns the state of a server that wants `wanted` workers, and has none. They
    /// are of generation 1.
    pub fn new(wanted: usize, start_limit: Duration) -> Rollout {
        Rollout {
            wanted,
            start_limit,
            generation: 1,
            newest: 1,
            reload: None,
            members: BTreeMap::new(),
            orders: Vec::new(),
        }
    }
    // ANCHOR_END: new

    // ANCHOR: begin
    /// Begins a reload, and returns the number of the new generation. Call it only if
    /// [`is_busy`](Rollout::is_busy) returns false.
    pub fn begin(&mut self, wanted: usize, start_limit: Duration) -> u32 {
        self.reload = Some(Reload {
            generation: self.generation,
            wanted: self.wanted,
            start_limit: self.start_limit,
            proven: false,
        });
        self.newest += 1;
        self.generation = self.newest;
        (self.wanted, self.start_limit) = (wanted, start_limit);
        self.orders.push(Order::Use(self.generation));
        self.newest
    }

    /// Whether a reload is under way: it is neither done nor undone.
    pub fn is_reloading(&self) -> bool {
        self.reload.is_some()
    }

    /// Whether the next reload must wait: until this one is done or undone, and until
    /// the outdated workers that drain have exited. Otherwise slow clients and many
    /// reloads together could fill the process table.
    pub fn is_busy(&self) -> bool {
        let mut members = self.members.values();
        let drains = |it: &Member| it.stage == Stage::Draining;
        self.is_reloading() || members.any(|it| self.is_old(it) && drains(it))
    }
    // ANCHOR_END: begin

    // ANCHOR: record
    /// Records what happened at `now`.
    pub fn record(&mut self, now: Instant, input: Input) {
        match input {
            Input::Started(id) => {
                let (generation, stage) = (self.generation, Stage::Starting);
                let member = Member { generation, started: now, stage };
                self.members.insert(id, member);
            }
            Input::Ready(id) => {
                if let Some(member) = self.members.get_mut(&id) {
                    if member.stage == Stage::Starting {
                        member.stage = Stage::Ready(now);
                    }
                }
            }
            Input::Draining(id) => {
                self.check(now, id);
                if let Some(member) = self.members.get_mut(&id) {
                    member.stage = Stage::Draining;
                }
            }
            Input::Exited(id) => {
                self.check(now, id);
                self.members.remove(&id);
            }
            Input::Stop => {}
        }
    }
    // ANCHOR_END: record

    // ANCHOR: check
    /// A worker drains or exits. If it is of the new generation, and was not ready, or
    /// not for long, or should prove that the new configuration is good, the reload
    /// has failed.
    fn check(&mut self, now: Instant, id: Id) {
        let Some(member) = self.members.get(&id) else { return };
        let Some(reload) = &self.reload else { return };
        let failed = match member.stage {
            Stage::Starting => true,
            Stage::Ready(since) => !reload.proven || now < since + SETTLE_TIME,
            Stage::Draining => false,
        };
        if failed && !self.is_old(member) {
            self.undo(id);
        }
    }

    /// Goes back to the generation before. Its workers that still run stay; the
    /// workers of the new generation are outdated now.
    fn undo(&mut self, id: Id) {
        let Some(reload) = self.reload.take() else { return };
        self.generation = reload.generation;
        (self.wanted, self.start_limit) = (reload.wanted, reload.start_limit);
        self.orders.extend([Order::Undone(id), Order::Use(self.generation)]);
    }
    // ANCHOR_END: check

    // ANCHOR: decide
    /// Decides what to do. `seen`: everything that happened before this time has been
    /// recorded (as for chapter 5's supervisor).
    pub fn decide(&mut self, seen: Instant) -> Vec<Order> {
        self.kill_late(seen);
        self.prove(seen);
        self.drain_surplus();
        let outdated = self.active().any(|(_, member)| self.is_old(member));
        if !outdated && self.reload.as_ref().is_some_and(|reload| reload.proven) {
            self.reload = None;
            self.orders.push(Order::Done(self.generation));
        }
        std::mem::take(&mut self.orders)
    }
    // ANCHOR_END: decide

    // ANCHOR: want
    /// How many workers must be starting or ready: one more than wanted while there
    /// is an outdated one, which its successor replaces.
    pub fn want(&self) -> usize {
        let outdated = self.active().any(|(_, member)| self.is_old(member));
        self.capacity() + usize::from(outdated)
    }

    /// How many workers must be ready. Until the new configuration has proved good,
    /// the old number counts.
    fn capacity(&self) -> usize {
        match &self.reload {
            Some(reload) if !reload.proven => reload.wanted,
            _ => self.wanted,
        }
    }
    // ANCHOR_END: want

    // ANCHOR: drain_surplus
    /// If more workers are ready than wanted, the oldest drain, and outdated ones
    /// first. That is the whole of a rolling reload, and of "a worker fewer".
    fn drain_surplus(&mut self) {
        // As long as the new configuration has not proved good, its workers replace
        // none of the old ones.
        let proving = self.reload.as_ref().is_some_and(|reload| !reload.proven);
        let counts = |new: bool| !(new && proving);
        let mut ready: Vec<(bool, Id)> = self
            .active()
            .filter(|(_, member)| member.stage != Stage::Starting)
            .map(|(id, member)| (!self.is_old(member), id))
            .filter(|&(new, _)| counts(new))
            .collect();
        ready.sort();
        let surplus = ready.len().saturating_sub(self.capacity());
        // An outdated worker that is not ready yet serves nothing.
        let starting = self.active().filter(|(_, member)| {
            member.stage == Stage::Starting && self.is_old(member)
        });
        let mut ids: Vec<Id> = starting.map(|(id, _)| id).collect();
        ids.extend(ready.into_iter().take(surplus).map(|(_, id)| id));
        for id in ids {
            let member = self.members.get_mut(&id).expect("it was found there");
            member.stage = Stage::Draining;
            self.orders.push(Order::Drain(id));
        }
    }
    // ANCHOR_END: drain_surplus

    // ANCHOR: prove
    /// Whether a worker of the new generation has been ready long enough.
    fn prove(&mut self, seen: Instant) {
        let proven = self.settles_at().is_some_and(|at| at <= seen);
        if let Some(reload) = &mut self.reload {
            reload.proven |= proven;
        }
    }

    /// When the first worker of the new generation has been ready long enough.
    fn settles_at(&self) -> Option<Instant> {
        self.reload.as_ref().filter(|reload| !reload.proven)?;
        let ready = self.active().filter_map(|(_, member)| match member.stage {
            Stage::Ready(since) if !self.is_old(member) => Some(since),
            _ => None,
        });
        ready.min().map(|since| since + SETTLE_TIME)
    }
    // ANCHOR_END: prove

    // ANCHOR: kill_late
    /// Kills the workers that are not ready in time.
    fn kill_late(&mut self, seen: Instant) {
        let starting = |member: &Member| member.stage == Stage::Starting;
        let late = |member: &Member| member.started + self.start_limit <= seen;
        let members = self.members.iter();
        let late = members.filter(|(_, member)| starting(member) && late(member));
        for id in late.map(|(&id, _)| id).collect::<Vec<_>>() {
            self.check(seen, id);
            let member = self.members.get_mut(&id).expect("it was found there");
            member.stage = Stage::Draining;
            self.orders.push(Order::Kill(id));
        }
    }
    // ANCHOR_END: kill_late

    // ANCHOR: deadline
    /// When [`decide`](Rollout::decide) must be called even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let starting =
            self.members.values().filter(|it| it.stage == Stage::Starting);
        let late = starting.map(|member| member.started + self.start_limit);
        late.chain(self.settles_at()).min()
    }
    // ANCHOR_END: deadline

    // ANCHOR: small
    /// How many workers are wanted.
    pub fn wanted(&self) -> usize {
        self.wanted
    }

    /// Wants so many workers from now on.
    pub fn set_wanted(&mut self, wanted: usize) {
        self.wanted = wanted;
        if let Some(reload) = &mut self.reload {
            reload.wanted = wanted;
        }
    }

    /// The generation of the workers that start from now on.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// The workers that have not exited, the oldest first.
    pub fn members(&self) -> &BTreeMap<Id, Member> {
        &self.members
    }

    /// How many workers are starting or ready.
    pub fn active_count(&self) -> usize {
        self.active().count()
    }

    /// Whether a worker is of another generation than those that start now.
    pub fn is_outdated(&self, id: Id) -> bool {
        self.members.get(&id).is_some_and(|member| self.is_old(member))
    }

    /// The workers that are starting or ready.
    fn active(&self) -> impl Iterator<Item = (Id, &Member)> {
        let active = |member: &&Member| member.stage != Stage::Draining;
        self.members
            .iter()
            .map(|(&id, it)| (id, it))
            .filter(move |(_, it)| active(it))
    }

    /// Whether a worker is of another generation than those that start now.
    fn is_old(&self, member: &Member) -> bool {
        member.generation != self.generation
    }
    // ANCHOR_END: small
}
