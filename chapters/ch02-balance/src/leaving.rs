//! Children that have left their channels, and have not ended yet.

use std::{
    io,
    time::{Duration, Instant},
};

use ch01_fork_ipc::{Child, Ended};
use nix::{sys::signal::Signal, unistd::Pid};

/// How long a child may finish what it has, once it has left its channel and cannot be told
/// anything any more.
const GRACE: Duration = Duration::from_secs(5);

/// How often it is asked whether it has ended. poll(2) does not see that; chapter 4 does better.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// Waits for children, so that none stays a zombie, and kills those that do not end.
#[derive(Debug, Default)]
pub struct Leaving {
    children: Vec<(Child, Instant)>,
}

impl Leaving {
    /// This one has left its channel: it is killed if it has not ended in 5 s.
    pub fn add(&mut self, child: Child) {
        self.children.push((child, Instant::now() + GRACE));
    }

    /// Those that have ended since the last call, and how. Does not block.
    pub fn ended(&mut self) -> Vec<(Pid, io::Result<Ended>)> {
        let mut ended = Vec::new();
        self.children.retain_mut(|(child, kill_at)| {
            if Instant::now() >= *kill_at {
                let _ = child.kill(Signal::SIGKILL);
            }
            let result = child.try_wait().transpose();
            let stays = result.is_none();
            ended.extend(result.map(|result| (child.pid(), result)));
            stays
        });
        ended
    }

    /// When to ask again; `None` where nobody is leaving.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.children.first().map(|_| Instant::now() + ASK_AGAIN)
    }
}
