//! What to do, and when. Nothing is done here.

mod fill;
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

/// timeout(1) and others send a signal to the process and to its group: that is one request to end.
const SAME_REQUEST: Duration = Duration::from_millis(5);

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
    /// Somebody is missing, and there is room for it then.
    room_at: Option<Instant>,
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
            room_at: None,
            stopping: None,
        }
    }

    // ANCHOR: step
    /// Takes in what has happened, and tells what is to be done about it, in this order.
    pub fn step(&mut self, now: Instant, input: Input) -> Vec<Action> {
        let mut actions = Vec::new();
        match input {
            Input::Started(id) => self.started(now, id),
            Input::Ready(id) => self.got_ready(now, id, &mut actions),
            Input::Suicide(id) => self.suicide(now, id, &mut actions),
            Input::Gone(id) => {
                let was = self.workers.remove(&id);
                if matches!(was, Some(State::Starting { .. })) {
                    self.failed(now, &mut actions);
                }
            }
            Input::Terminate => self.terminate(now, &mut actions),
            Input::Tick => {}
        }
        if matches!(actions.last(), Some(Action::Exit { .. })) {
            return actions;
        }
        self.enforce_limits(now, &mut actions);
        match self.stopping {
            None => self.fill(now, &mut actions),
            Some(since) => self.finish(now, since, &mut actions),
        }
        actions
    }
    // ANCHOR_END: step

    /// When the next [`Input::Tick`] is due; `None` if nothing will happen by itself.
    pub fn deadline(&self) -> Option<Instant> {
        let limits = self.workers.values().filter_map(|state| state.limit());
        let stop = self.stopping.map(|since| since + STOP_LIMIT);
        limits.chain(self.retry).chain(self.room_at).chain(stop).min()
    }

    fn started(&mut self, now: Instant, id: Id) {
        self.asked_for = self.asked_for.saturating_sub(1);
        let limit = if self.stopping.is_some() { LATE_START } else { START_LIMIT };
        self.workers.insert(id, State::Starting { give_up: now + limit });
    }

    fn got_ready(&mut self, now: Instant, id: Id, actions: &mut Vec<Action>) {
        let Some(state @ State::Starting { .. }) = self.workers.get_mut(&id) else {
            return;
        };
        self.pause = Duration::ZERO;
        self.retry = None;
        *state = State::Ready;
        if self.stopping.is_some() {
            *state = State::draining(now);
            actions.push(Action::Drain(id));
        }
    }

    // ANCHOR: suicide
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
    // ANCHOR_END: suicide

    fn terminate(&mut self, now: Instant, actions: &mut Vec<Action>) {
        if let Some(since) = self.stopping {
            if now >= since + SAME_REQUEST {
                self.exit(true, actions);
            }
            return;
        }
        self.stopping = Some(now);
        (self.retry, self.room_at) = (None, None);
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

    /// Ends this process, once all workers have ended or the time is up.
    fn finish(&mut self, now: Instant, since: Instant, actions: &mut Vec<Action>) {
        let ended = self.workers.is_empty() && self.asked_for == 0;
        if ended || now >= since + STOP_LIMIT {
            self.exit(false, actions);
        }
    }

    /// Ends this process, and nobody is left behind.
    fn exit(&mut self, forced: bool, actions: &mut Vec<Action>) {
        actions.extend(self.living().map(Action::Kill));
        actions.push(Action::Exit { forced });
        self.workers.clear();
    }

    /// Ends workers that take too long to start or to drain.
    fn enforce_limits(&mut self, now: Instant, actions: &mut Vec<Action>) {
        let overdue =
            |state: &State| state.limit().is_some_and(|limit| limit <= now);
        let ids = self
            .workers
            .iter()
            .filter(|(_, state)| overdue(state))
            .map(|(&id, _)| id);
        for id in ids.collect::<Vec<_>>() {
            let starting = matches!(self.workers[&id], State::Starting { .. });
            if starting && self.stopping.is_some() {
                self.workers.insert(id, State::draining(now));
                actions.push(Action::Drain(id));
                continue;
            }
            self.workers.insert(id, State::Killed);
            actions.push(Action::Kill(id));
            if starting {
                self.failed(now, actions);
            }
        }
    }

    /// The workers that have not ended, and are not about to.
    pub fn living(&self) -> impl Iterator<Item = Id> {
        self.workers
            .iter()
            .filter(|(_, state)| **state != State::Killed)
            .map(|(&id, _)| id)
    }

    /// The workers that serve.
    pub fn ready(&self) -> impl Iterator<Item = Id> {
        self.workers
            .iter()
            .filter(|(_, state)| **state == State::Ready)
            .map(|(&id, _)| id)
    }

    /// How many will serve soon.
    fn starting(&self) -> usize {
        let starting = |state: &&State| matches!(state, State::Starting { .. });
        self.workers.values().filter(starting).count() + self.asked_for
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
