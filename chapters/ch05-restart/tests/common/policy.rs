//! A supervisor with a clock that only the test moves.

use std::time::{Duration, Instant};

use ch04_events::Id;
use ch05_restart::{Action, Input, Supervisor};

/// A supervisor, its time, and the next worker's number.
pub struct Policy {
    pub supervisor: Supervisor,
    pub now: Instant,
    begun: Instant,
    next: u64,
}

impl Policy {
    /// For `want` workers; nothing has happened yet.
    pub fn new(want: usize) -> Policy {
        let now = Instant::now();
        Policy { supervisor: Supervisor::new(want), now, begun: now, next: 0 }
    }

    /// For `want` workers, all of them ready: 0 to `want` - 1.
    pub fn ready(want: usize) -> Policy {
        let mut policy = Policy::new(want);
        let actions = policy.tick();
        assert_eq!(
            starts(&actions),
            want,
            "the first Tick starts all: {actions:?}"
        );
        for _ in 0..want {
            policy.start_ready();
        }
        policy
    }

    /// Something happens now.
    pub fn step(&mut self, input: Input) -> Vec<Action> {
        self.supervisor.step(self.now, input)
    }

    /// Time was spent.
    pub fn tick(&mut self) -> Vec<Action> {
        self.step(Input::Tick)
    }

    /// Lets so much time pass, and says so.
    pub fn after(&mut self, milliseconds: u64) -> Vec<Action> {
        self.now += Duration::from_millis(milliseconds);
        self.tick()
    }

    /// A start was carried out; nothing else must come of it.
    pub fn started(&mut self) -> Id {
        let id = Id(self.next);
        self.next += 1;
        assert_eq!(
            self.step(Input::Started(id)),
            [],
            "a start that was carried out"
        );
        id
    }

    /// A start was carried out, and that worker is ready.
    pub fn start_ready(&mut self) -> Id {
        let id = self.started();
        assert_eq!(self.step(Input::Ready(id)), [], "{id:?} is ready");
        id
    }

    /// Until the supervisor wants to be asked again, in milliseconds.
    pub fn next_in(&self) -> Option<u128> {
        self.supervisor
            .deadline()
            .map(|at| at.saturating_duration_since(self.now).as_millis())
    }

    /// Milliseconds since the test began.
    pub fn clock(&self) -> u128 {
        (self.now - self.begun).as_millis()
    }
}

/// How many starts are asked for.
pub fn starts(actions: &[Action]) -> usize {
    actions.iter().filter(|action| **action == Action::Start).count()
}

/// The actions without what is only told to the user.
pub fn deeds(actions: Vec<Action>) -> Vec<Action> {
    actions.into_iter().filter(|action| !matches!(action, Action::Say(_))).collect()
}
