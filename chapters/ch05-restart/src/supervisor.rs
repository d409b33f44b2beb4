// ANCHOR: top
//! Decides when a worker starts and when it must exit. It does nothing itself: the
//! master tells it what happened, and carries out what it decides. So every
//! decision can be tested without a process and without waiting.

use std::{
    collections::BTreeMap,
    mem,
    time::{Duration, Instant},
};

use ch04_events::Id;
// ANCHOR_END: top

// ANCHOR: limits
/// The pause after a worker that exits before it is ready. It doubles each time…
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// …up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How long a worker may take to become ready.
const START_LIMIT: Duration = Duration::from_secs(30);

/// How long a worker may drain. A worker of ours exits by itself after 5 s; this
/// is for a worker that hangs.
const DRAIN_LIMIT: Duration = Duration::from_millis(5500);

/// How long after its channel was closed a worker is sent SIGTERM.
const DISCONNECT_LIMIT: Duration = Duration::from_secs(1);

/// A stop request that is repeated so soon is the same request: timeout(1) signals
/// its child and then the child's process group.
const SAME_REQUEST: Duration = Duration::from_millis(10);
// ANCHOR_END: limits

// ANCHOR: input
/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// [`Action::Start`] was carried out.
    Started(Id),
    /// The worker has its listener.
    Ready(Id),
    /// The worker accepts no more connections: it sent `{"act":"suicide"}`.
    Draining(Id),
    /// The worker exited, or could not be started.
    Exited(Id),
    /// The whole server must stop. The second time: at once.
    Stop,
}
// ANCHOR_END: input

// ANCHOR: action
/// What the master must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start a worker and send it the listener; then report [`Input::Started`].
    Start,
    /// Close the channel to the worker.
    Disconnect(Id),
    /// Send SIGTERM: the worker answers its open connections and exits.
    Terminate(Id),
    /// Send SIGKILL.
    Kill(Id),
    /// Log that a worker was never ready, so none starts for this long.
    LogPause(Duration),
    /// Log that so many workers run that none starts before one exits.
    LogFull(usize),
    /// Exit: no worker is left, or all were killed at the second [`Input::Stop`].
    Exit {
        /// Whether open connections may have been cut off.
        forced: bool,
    },
}
// ANCHOR_END: action

// ANCHOR: state
/// The life of a worker, from its start until it exits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It has no listener yet.
    Starting {
        /// When it is killed, if it is not ready.
        kill_at: Instant,
    },
    /// It accepts connections.
    Ready,
    /// It must drain, and its channel is closed. SIGTERM follows.
    Disconnected {
        /// When it is sent SIGTERM.
        terminate_at: Instant,
    },
    /// It accepts no more, and answers its open connections.
    Draining {
        /// When it is killed, if it has not exited.
        kill_at: Instant,
    },
    /// It was sent SIGKILL.
    Killed,
}
// ANCHOR_END: state

// ANCHOR: fields
/// Keeps `want` workers ready.
#[derive(Debug)]
pub struct Supervisor {
    want: usize,
    /// The workers that have not exited.
    workers: BTreeMap<Id, State>,
    /// A worker exited, drained or was killed before it was ready.
    start_failed: bool,
    /// The last pause after a failed start. Zero once a worker is ready.
    pause: Duration,
    /// No worker starts before this time.
    retry_at: Option<Instant>,
    /// The user was told that no further worker can start.
    told_full: bool,
    /// When the server was asked to stop.
    stopping: Option<Instant>,
    /// It was asked a second time.
    forced: bool,
    /// A stopping server closes a worker's channel before it sends SIGTERM.
    disconnect_first: bool,
}
// ANCHOR_END: fields

impl Supervisor {
    // ANCHOR: new
    /// Returns a supervisor of `want` workers, none of which has been started.
    pub fn new(want: usize) -> Supervisor {
        Supervisor {
            want,
            workers: BTreeMap::new(),
            start_failed: false,
            pause: Duration::ZERO,
            retry_at: None,
            told_full: false,
            stopping: None,
            forced: false,
            disconnect_first: false,
        }
    }
    // ANCHOR_END: new

    // ANCHOR: disconnect_first
    /// Whether a stopping server closes the channels to its workers, and sends
    /// SIGTERM a second later. A program that does not handle SIGTERM dies of it at
    /// once, in the middle of a response.
    pub fn disconnect_first(self, disconnect_first: bool) -> Supervisor {
        Supervisor { disconnect_first, ..self }
    }
    // ANCHOR_END: disconnect_first

    // ANCHOR: want
    /// How many workers are to be ready, from now on. When it is fewer than before,
    /// the caller says which of them must [`drain`](Supervisor::drain).
    pub fn set_want(&mut self, want: usize) {
        self.want = want;
    }

    /// The workers that have not exited, the oldest first.
    pub fn workers(&self) -> impl Iterator<Item = (Id, State)> {
        self.workers.iter().map(|(&id, &state)| (id, state))
    }

    /// Whether this worker runs, and has no listener yet.
    pub fn is_starting(&self, id: Id) -> bool {
        matches!(self.workers.get(&id), Some(State::Starting { .. }))
    }
    // ANCHOR_END: want

    // ANCHOR: record
    /// Records what happened at `now`. Returns whether that changes anything: an
    /// unknown worker does not, nor does a second [`Input::Draining`].
    pub fn record(&mut self, now: Instant, input: Input) -> bool {
        match input {
            Input::Started(id) => {
                let kill_at = now + START_LIMIT;
                self.workers.insert(id, State::Starting { kill_at }).is_none()
            }
            Input::Ready(id) => {
                let state = self.workers.get_mut(&id);
                let Some(state @ State::Starting { .. }) = state else {
                    return false;
                };
                *state = State::Ready;
                (self.pause, self.retry_at) = (Duration::ZERO, None);
                true
            }
            Input::Draining(id) => {
                // Only the first message counts: no worker is replaced twice.
                let state = self.workers.get_mut(&id);
                let Some(state @ (State::Starting { .. } | State::Ready)) = state
                else {
                    return false;
                };
                self.start_failed |= *state != State::Ready;
                *state = State::Draining { kill_at: now + DRAIN_LIMIT };
                true
            }
            Input::Exited(id) => {
                let state = self.workers.remove(&id);
                self.start_failed |= matches!(state, Some(State::Starting { .. }));
                state.is_some()
            }
            Input::Stop => {
                let since = *self.stopping.get_or_insert(now);
                self.forced |= since + SAME_REQUEST <= now;
                true
            }
        }
    }
    // ANCHOR_END: record

    // ANCHOR: decide
    /// Decides what to do `now`, in this order. The master must carry out and
    /// record every [`Action::Start`] before the next call.
    ///
    /// `seen`: everything that happened before this time has been recorded. A
    /// worker is killed only if it is late even so. If the master itself was held
    /// up (SIGSTOP, a debugger), what arrived in the meantime counts
    /// before what the clock says.
    pub fn decide(&mut self, seen: Instant, now: Instant) -> Vec<Action> {
        let mut actions = self.end_overdue(seen);
        match self.stopping {
            None => actions.extend(self.start_missing(now)),
            Some(_) => actions.extend(self.stop_all(now)),
        }
        actions
    }
    // ANCHOR_END: decide

    // ANCHOR: deadline
    /// When [`decide`](Supervisor::decide) must be called even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let retry_at = self.retry_at.filter(|_| self.stopping.is_none());
        let workers = self.workers.values().filter_map(|state| state.deadline());
        workers.chain(retry_at).min()
    }
    // ANCHOR_END: deadline

    // ANCHOR: start_missing
    /// Starts workers until `want` are starting or ready.
    fn start_missing(&mut self, now: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        self.retry_at.take_if(|retry_at| *retry_at <= now);
        // The next worker may fail too, so it waits. Several failures before this
        // call, or during a pause, make one pause.
        if mem::take(&mut self.start_failed) && self.retry_at.is_none() {
            self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.retry_at = Some(now + self.pause);
            actions.push(Action::LogPause(self.pause));
        }
        if self.retry_at.is_some() {
            return actions;
        }
        let active =
            |state: &&State| matches!(state, State::Starting { .. } | State::Ready);
        let active = self.workers.values().filter(active).count();
        let missing = self.want.saturating_sub(active);
        // Here, draining workers count too: crashes and slow clients together
        // must not fill the process table.
        let running = self.workers.len();
        let room = (2 * self.want + 8).saturating_sub(running);
        self.told_full &= running > self.want;
        if missing > room && !mem::replace(&mut self.told_full, true) {
            actions.push(Action::LogFull(running + room));
        }
        actions.extend((0..missing.min(room)).map(|_| Action::Start));
        actions
    }
    // ANCHOR_END: start_missing

    // ANCHOR: end_overdue
    /// Ends the workers that take too long to become ready, or to drain.
    fn end_overdue(&mut self, seen: Instant) -> Vec<Action> {
        let mut actions = Vec::new();
        for (&id, state) in &mut self.workers {
            match *state {
                _ if state.deadline().is_none_or(|deadline| deadline > seen) => {}
                State::Disconnected { terminate_at } => {
                    let kill_at = terminate_at + (DRAIN_LIMIT - DISCONNECT_LIMIT);
                    *state = State::Draining { kill_at };
                    actions.push(Action::Terminate(id));
                }
                _ => {
                    self.start_failed |= matches!(state, State::Starting { .. });
                    *state = State::Killed;
                    actions.push(Action::Kill(id));
                }
            }
        }
        actions
    }
    // ANCHOR_END: end_overdue

    // ANCHOR: stop_all
    /// Asks every worker to drain. At the second request, kills them all.
    fn stop_all(&mut self, now: Instant) -> Vec<Action> {
        let ids: Vec<Id> = self.workers.keys().copied().collect();
        let end = |id| match self.forced {
            true => self.kill(id),
            false => self.drain(now, id),
        };
        let mut actions: Vec<Action> = ids.into_iter().filter_map(end).collect();
        if self.workers.is_empty() || self.forced {
            actions.push(Action::Exit { forced: self.forced });
        }
        actions
    }
    // ANCHOR_END: stop_all

    // ANCHOR: drain
    /// What the master must do for a worker to drain. `None` if it does so
    /// already, or has exited.
    pub fn drain(&mut self, now: Instant, id: Id) -> Option<Action> {
        let state = self.workers.get_mut(&id)?;
        let (State::Starting { .. } | State::Ready) = state else { return None };
        if self.disconnect_first {
            let terminate_at = now + DISCONNECT_LIMIT;
            *state = State::Disconnected { terminate_at };
            return Some(Action::Disconnect(id));
        }
        *state = State::Draining { kill_at: now + DRAIN_LIMIT };
        Some(Action::Terminate(id))
    }

    /// What the master must do to end a worker at once. `None` if that was done, or
    /// it has exited.
    pub fn kill(&mut self, id: Id) -> Option<Action> {
        let state = self.workers.get_mut(&id)?;
        self.start_failed |= matches!(state, State::Starting { .. });
        let before = mem::replace(state, State::Killed);
        (before != State::Killed).then_some(Action::Kill(id))
    }
    // ANCHOR_END: drain
}

// ANCHOR: state_deadline
impl State {
    /// When the worker is killed or sent SIGTERM, if it is still in this state.
    fn deadline(self) -> Option<Instant> {
        match self {
            State::Starting { kill_at } | State::Draining { kill_at } => {
                Some(kill_at)
            }
            State::Disconnected { terminate_at } => Some(terminate_at),
            State::Ready | State::Killed => None,
        }
    }
}
// ANCHOR_END: state_deadline
