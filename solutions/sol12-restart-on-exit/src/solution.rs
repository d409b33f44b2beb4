//! Solution.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ch04_events::{Children, Event, Id};
use cli::{complain, log};
use nix::sys::signal::Signal;

use crate::harness::{Plan, STOP_LIMIT};

// ANCHOR: keep_alive
/// Keeps `plan.workers` workers alive, until SIGTERM comes.
pub fn keep_alive(plan: &Plan) -> anyhow::Result<()> {
    let mut keeper = Keeper {
        plan,
        children: Children::new(&[Signal::SIGTERM])?,
        workers: BTreeMap::new(),
        pause: Duration::ZERO,
        retry: None,
        stopping: false,
        kill_at: None,
    };
    while !(keeper.stopping && keeper.workers.is_empty()) {
        keeper.start_missing()?;
        keeper.kill_overdue();
        // The only place to sleep. What happens meanwhile is heard at once, in a pause too.
        for event in keeper.children.wait(keeper.retry.or(keeper.kill_at))? {
            keeper.hear(event);
        }
    }
    Ok(())
}
// ANCHOR_END: keep_alive

// ANCHOR: keeper
struct Keeper<'a> {
    plan: &'a Plan,
    children: Children,
    /// Those that have not ended, and whether each was ever ready.
    workers: BTreeMap<Id, bool>,
    /// The last pause; zero, if somebody got ready since.
    pause: Duration,
    /// Nobody is started before then.
    retry: Option<Instant>,
    /// All are to end.
    stopping: bool,
    /// Whoever lives then is killed.
    kill_at: Option<Instant>,
}
// ANCHOR_END: keeper

impl Keeper<'_> {
    // ANCHOR: hear
    fn hear(&mut self, event: Event) {
        match event {
            Event::Message(id, received) if received.message == "ready" => {
                self.got_ready(id)
            }
            // Not at Disconnect: it may live on. Not at Close: a helper may hold that up for ever.
            // But a worker that was never started has no Exit.
            Event::Exit(id, _) | Event::Close(id, Err(_)) => self.ended(id),
            Event::Error(_, error) => complain(error),
            Event::Signal(_) => self.stop(),
            _ => {}
        }
    }
    // ANCHOR_END: hear

    fn got_ready(&mut self, id: Id) {
        if let Some(ready) = self.workers.get_mut(&id) {
            *ready = true;
            self.pause = Duration::ZERO;
        }
    }

    // ANCHOR: ended
    /// Nobody is started here: `start_missing` counts. So no end can be answered twice.
    fn ended(&mut self, id: Id) {
        // A helper that it has left behind would hold the channel open, and our end of it.
        if self.children.connected(id) {
            self.children.disconnect(id);
        }
        let was_ready = self.workers.remove(&id);
        // Several that fail together are one failure.
        if was_ready == Some(false) && self.retry.is_none() && !self.stopping {
            let Plan { first_pause, longest_pause, .. } = *self.plan;
            self.pause = (self.pause * 2).max(first_pause).min(longest_pause);
            self.retry = Some(Instant::now() + self.pause);
            log(format_args!(
                "a worker was never ready: a pause of {:?}",
                self.pause
            ));
        }
    }
    // ANCHOR_END: ended

    // ANCHOR: start_missing
    fn start_missing(&mut self) -> anyhow::Result<()> {
        self.retry.take_if(|retry| *retry <= Instant::now());
        while self.workers.len() < self.plan.workers
            && self.retry.is_none()
            && !self.stopping
        {
            let id = self.children.spawn(self.plan.command()?);
            self.workers.insert(id, false);
        }
        Ok(())
    }
    // ANCHOR_END: start_missing

    // ANCHOR: stop
    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.retry = None;
            self.kill_at = Some(Instant::now() + STOP_LIMIT);
            self.signal_all(Signal::SIGTERM);
        }
    }

    fn kill_overdue(&mut self) {
        if self.kill_at.take_if(|at| *at <= Instant::now()).is_some() {
            self.signal_all(Signal::SIGKILL);
        }
    }

    fn signal_all(&mut self, signal: Signal) {
        for &id in self.workers.keys() {
            self.children.kill(id, signal);
        }
    }
    // ANCHOR_END: stop
}
