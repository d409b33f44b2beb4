//! A supervisor with a clock that only the test moves.

use std::time::{Duration, Instant};

use ch04_events::Id;
use ch05_restart::{Action, Input, Supervisor};

/// A supervisor, its time, and the next worker's number.
pub struct Policy {
    pub supervisor: Supervisor,
    pub now: Instant,
    began: Instant,
    next: u64,
}

impl Policy {
    /// For `want` workers; nothing has happened yet.
    pub fn new(want: usize) -> Policy {
        let now = Instant::now();
        Policy { supervisor: Supervisor::new(want), now, began: now, next: 0 }
    }

    /// For `want` workers, all of them ready: 0 to `want` - 1.
    pub fn ready(want: usize) -> Policy {
        let mut policy = Policy::new(want);
        let actions = policy.decide();
        assert_eq!(starts(&actions), want, "all are started: {actions:?}");
        for _ in 0..want {
            policy.start_ready();
        }
        policy
    }

    /// Something happens now, and the master asks what to do.
    pub fn tell(&mut self, input: Input) -> Vec<Action> {
        self.supervisor.record(self.now, input);
        self.decide()
    }

    /// The master asks what to do.
    pub fn decide(&mut self) -> Vec<Action> {
        self.supervisor.decide(self.now, self.now)
    }

    /// Time passes, and the master asks what to do.
    pub fn after(&mut self, milliseconds: u64) -> Vec<Action> {
        self.now += Duration::from_millis(milliseconds);
        self.decide()
    }

    /// A start is carried out.
    pub fn started(&mut self) -> Id {
        let id = Id(self.next);
        self.next += 1;
        self.supervisor.record(self.now, Input::Started(id));
        id
    }

    /// A start is carried out, and that worker gets ready.
    pub fn start_ready(&mut self) -> Id {
        let id = self.started();
        self.supervisor.record(self.now, Input::Ready(id));
        id
    }

    /// Milliseconds until the supervisor must decide again.
    pub fn next_in(&self) -> Option<u128> {
        let deadline = self.supervisor.deadline();
        deadline.map(|at| at.saturating_duration_since(self.now).as_millis())
    }

    /// Milliseconds since the test began.
    pub fn clock(&self) -> u128 {
        (self.now - self.began).as_millis()
    }
}

/// How many starts are asked for.
pub fn starts(actions: &[Action]) -> usize {
    actions.iter().filter(|action| **action == Action::Start).count()
}
