//! What to do, and when. Nothing is done here.

mod words;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use ch04_events::Id;

pub use words::{Action, Input};

/// The pause after a worker that ended before it was ever ready; it doubles…
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// …up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long a worker may take to get ready.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a worker may drain. Its own limit is 5 s; this is for one that does not keep to it.
const DRAIN_LIMIT: Duration = Duration::from_millis(5500);

/// When everything ends, one that is not ready may become so, and see to those who wait in the
/// listener. For this long.
const LATE_START: Duration = Duration::from_secs(1);

/// When everything ends, nobody is waited for any longer.
const STOP_LIMIT: Duration = Duration::from_millis(5800);

/// The life of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has no listener yet.
    Starting { give_up: Instant },
    /// It serves.
    Ready,
    /// It was replaced, and finishes what it has. `since` tells who is the oldest.
    Draining { since: Instant, kill_at: Instant },
    /// It was killed. The system will tell.
    Killed,
}

/// Keeps `want` workers alive.
#[derive(Debug)]
pub struct Supervisor {
    want: usize,
    workers: BTreeMap<Id, State>,
    /// [`Action::Start`]s that were not answered with [`Input::Started`] yet.
    asked_for: usize,
    /// The last pause; zero, if the last worker that started got ready.
    pause: Duration,
    /// Nobody is started before then.
    retry: Option<Instant>,
    /// When it was asked to end.
    stopping: Option<Instant>,
}

impl Supervisor {
    /// For `want` workers. The first [`step`](Supervisor::step), a [`Input::Tick`], starts them.
    pub fn new(want: usize) -> Supervisor {
        Supervisor {
            want,
            workers: BTreeMap::new(),
            asked_for: 0,
            pause: Duration::ZERO,
            retry: None,
            stopping: None,
        }
    }

    /// Takes in what has happened, and tells what is to be done about it, in this order.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Started(id) => self.started(now, id),
            Input::Ready(id) => self.ready(id, &mut actions),
            Input::Suicide(id) => self.suicide(now, id, &mut actions),
            Input::Gone(id) => {
                if let Some(State::Starting { .. }) = self.workers.remove(&id) {
                    self.failed(now, &mut actions);
                }
            }
            Input::Terminate => self.terminate(now, &mut actions),
            Input::Tick => {}
        }
        self.enforce_limits(now, &mut actions);
        match self.stopping {
            None => self.fill(now, &mut actions),
            Some(since) if self.workers.is_empty() || now >= since + STOP_LIMIT => {
                actions.push(Action::Exit { forced: false });
            }
            Some(_) => {}
        }
        actions
    }

    /// When the next [`Input::Tick`] is due; `None` if nothing will happen by itself.
    pub fn deadline(&self) -> Option<Instant> {
        let limits = self.workers.values().filter_map(|state| state.limit());
        let stop = self.stopping.map(|since| since + STOP_LIMIT);
        limits.chain(self.retry).chain(stop).min()
    }

    fn started(&mut self, now: Instant, id: Id) {
        self.asked_for = self.asked_for.saturating_sub(1);
        self.workers.insert(id, State::Starting { give_up: now + START_LIMIT });
    }

    fn ready(&mut self, id: Id, actions: &mut Vec<Action>) {
        let Some(state @ State::Starting { .. }) = self.workers.get_mut(&id) else { return };
        *state = State::Ready;
        self.pause = Duration::ZERO;
        self.retry = None;
        if self.stopping.is_some() {
            actions.push(Action::Drain(id));
        }
    }

    /// Only a worker's first word counts, so it is never replaced twice.
    fn suicide(&mut self, now: Instant, id: Id, actions: &mut Vec<Action>) {
        match self.workers.get_mut(&id) {
            Some(state @ State::Ready) => *state = State::draining(now),
            Some(state @ State::Starting { .. }) => {
                *state = State::draining(now);
                self.failed(now, actions);
            }
            _ => {}
        }
    }

    /// A worker has ended before it was ready. The next may do so too, so there is a pause.
    fn failed(&mut self, now: Instant, actions: &mut Vec<Action>) {
        // Several that fail together are one failure.
        if self.stopping.is_some() || self.retry.is_some_and(|retry| now < retry) {
            return;
        }
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.retry = Some(now + self.pause);
        let pause = self.pause.as_millis();
        actions.push(Action::Say(format!(
            "a worker never got ready: the next one starts in {pause} ms"
        )));
    }

    fn terminate(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.stopping.is_some() {
            actions.extend(self.workers.keys().map(|&id| Action::Kill(id)));
            actions.push(Action::Exit { forced: true });
            self.workers.clear();
            return;
        }
        self.stopping = Some(now);
        self.retry = None;
        actions.push(Action::CloseListener);
        for (&id, state) in &mut self.workers {
            match state {
                // It may be the only one left that can see to those who wait in the listener.
                State::Starting { give_up } => *give_up = now + LATE_START,
                State::Ready => {
                    *state = State::draining(now);
                    actions.push(Action::Drain(id));
                }
                State::Draining { .. } => actions.push(Action::Drain(id)),
                State::Killed => {}
            }
        }
    }

    /// Nobody starts for ever, drains for ever, or drains in too large a company.
    fn enforce_limits(&mut self, now: Instant, actions: &mut Vec<Action>) {
        for id in self.overdue(now).into_iter().chain(self.too_many()) {
            let Some(state) = self.workers.get_mut(&id) else { continue };
            let was = *state;
            *state = State::Killed;
            match was {
                State::Starting { .. } if self.stopping.is_some() => {
                    *state = State::draining(now);
                    actions.push(Action::Drain(id));
                }
                State::Starting { .. } => {
                    actions.push(Action::Kill(id));
                    self.failed(now, actions);
                }
                _ => actions.push(Action::Kill(id)),
            }
        }
    }

    /// The workers whose time is up.
    fn overdue(&self, now: Instant) -> Vec<Id> {
        let late = |state: &State| state.limit().is_some_and(|limit| limit <= now);
        self.workers.iter().filter(|(_, state)| late(state)).map(|(&id, _)| id).collect()
    }

    /// The oldest of those that drain, if there are more than 2N + 8.
    fn too_many(&self) -> Vec<Id> {
        let draining = self.workers.iter().filter_map(|(&id, state)| match state {
            State::Draining { since, .. } => Some((*since, id)),
            _ => None,
        });
        let mut draining: Vec<(Instant, Id)> = draining.collect();
        draining.sort_unstable();
        let excess = draining.len().saturating_sub(2 * self.want + 8);
        draining.into_iter().take(excess).map(|(_, id)| id).collect()
    }

    /// Starts those that are missing.
    fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if self.retry.is_some_and(|retry| now < retry) {
            return;
        }
        self.retry = None;
        let serves = |state: &&State| matches!(state, State::Starting { .. } | State::Ready);
        let there = self.workers.values().filter(serves).count() + self.asked_for;
        let missing = self.want.saturating_sub(there);
        self.asked_for += missing;
        actions.extend((0..missing).map(|_| Action::Start));
    }
}

impl State {
    fn draining(now: Instant) -> State {
        State::Draining { since: now, kill_at: now + DRAIN_LIMIT }
    }

    /// When its time is up.
    fn limit(self) -> Option<Instant> {
        match self {
            State::Starting { give_up } => Some(give_up),
            State::Draining { kill_at, .. } => Some(kill_at),
            State::Ready | State::Killed => None,
        }
    }
}
