//! Solution.

use std::time::{Duration, Instant};

use ch04_events::{Children, Event, Id};
use cli::{complain, log};
use nix::sys::signal::Signal;

use crate::harness::Plan;

// ANCHOR: keep_alive
/// Keeps one worker alive for each name in `plan.names`, until SIGTERM.
pub fn keep_alive(plan: &Plan) -> anyhow::Result<()> {
    let children = Children::new(&[Signal::SIGTERM])?;
    let slots = plan.names.iter().map(|name| Slot::new(name)).collect();
    let mut keeper =
        Keeper { plan, children, slots, stopping: false, kill_at: None };
    while !(keeper.stopping && keeper.workers().is_empty()) {
        keeper.start_due()?;
        keeper.kill_overdue();
        // The only place to sleep, so no event has to wait for a pause.
        for event in keeper.children.wait(keeper.deadline())? {
            keeper.on_event(event);
        }
    }
    Ok(())
}
// ANCHOR_END: keep_alive

// ANCHOR: keeper
struct Keeper<'a> {
    plan: &'a Plan,
    children: Children,
    slots: Vec<Slot<'a>>,
    /// SIGTERM arrived: no worker starts any more.
    stopping: bool,
    /// When the workers that still run are sent SIGKILL.
    kill_at: Option<Instant>,
}

/// A name, and its worker.
struct Slot<'a> {
    name: &'a str,
    state: State,
    /// The last pause. `None`: the next failure is the first.
    pause: Option<Duration>,
}

#[derive(Clone, Copy)]
enum State {
    /// There is no worker. The next one starts then.
    StartsAt(Instant),
    Starting(Id),
    Ready(Id),
}

impl Slot<'_> {
    fn new(name: &str) -> Slot<'_> {
        Slot { name, state: State::StartsAt(Instant::now()), pause: None }
    }

    fn worker(&self) -> Option<Id> {
        match self.state {
            State::StartsAt(_) => None,
            State::Starting(id) | State::Ready(id) => Some(id),
        }
    }
}
// ANCHOR_END: keeper

impl Keeper<'_> {
    // ANCHOR: start_due
    /// Starts the workers whose time has come; the first ones, too.
    fn start_due(&mut self) -> anyhow::Result<()> {
        if self.stopping {
            return Ok(());
        }
        for slot in &mut self.slots {
            match slot.state {
                State::StartsAt(time) if time <= Instant::now() => {
                    let command = self.plan.command(slot.name)?;
                    slot.state = State::Starting(self.children.spawn(command));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// When there is something to do, even if nothing happens before: the earliest
    /// start.
    fn deadline(&self) -> Option<Instant> {
        if self.stopping {
            return self.kill_at;
        }
        let starts = self.slots.iter().filter_map(|slot| match slot.state {
            State::StartsAt(time) => Some(time),
            State::Starting(_) | State::Ready(_) => None,
        });
        starts.min()
    }
    // ANCHOR_END: start_due

    // ANCHOR: on_event
    fn on_event(&mut self, event: Event) {
        match event {
            Event::Message(id, message, _) if message == "ready" => self.ready(id),
            // Not Disconnect: the worker may run on. Not Close: a helper may delay
            // it. But a worker that could not be started has no Exit.
            Event::Exit(id, _) | Event::Close(id, Err(_)) => self.exited(id),
            Event::Error(_, error) => complain(error),
            Event::Signal(_) => self.stop(),
            _ => {}
        }
    }

    fn ready(&mut self, id: Id) {
        for slot in &mut self.slots {
            if slot.worker() == Some(id) {
                slot.state = State::Ready(id);
                slot.pause = None;
            }
        }
    }
    // ANCHOR_END: on_event

    // ANCHOR: exited
    /// Notes when the next worker starts. It does not start one: so if an exit is
    /// reported twice, the second report finds no slot, and changes nothing.
    fn exited(&mut self, id: Id) {
        // If the worker has left a helper, that holds the other end of the channel.
        if self.children.connected(id) {
            self.children.disconnect(id);
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.worker() == Some(id)) {
            let mut start_at = Instant::now();
            if matches!(slot.state, State::Starting(_)) {
                let pause = slot.pause.map_or(self.plan.first_pause, |it| it * 2);
                let pause = pause.min(self.plan.longest_pause);
                log(format_args!("{} failed: a pause of {pause:?}", slot.name));
                slot.pause = Some(pause);
                start_at += pause;
            }
            slot.state = State::StartsAt(start_at);
        }
    }
    // ANCHOR_END: exited

    // ANCHOR: stop
    fn stop(&mut self) {
        if !self.stopping {
            self.stopping = true;
            self.kill_at = Some(Instant::now() + self.plan.stop_limit);
            self.signal_all(Signal::SIGTERM);
        }
    }

    fn kill_overdue(&mut self) {
        if self.kill_at.take_if(|time| *time <= Instant::now()).is_some() {
            self.signal_all(Signal::SIGKILL);
        }
    }

    fn signal_all(&mut self, signal: Signal) {
        for id in self.workers() {
            self.children.kill(id, signal);
        }
    }

    fn workers(&self) -> Vec<Id> {
        self.slots.iter().filter_map(Slot::worker).collect()
    }
    // ANCHOR_END: stop
}
