//! Solution: exercises 12 and 13, put together.

use std::collections::BTreeMap;
use std::io;
use std::mem;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ch02_balance::Received;
use ch03_handles::{Handle, HandleChannel};
use ch04_events::{Children, Event, Id, SignalPipe};
use cli::{complain, log};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::Plan;
use crate::worker_io::{Connection, Greeter, Step, accept, wait};

// ANCHOR: keep_alive
/// The master: one thread, one place to sleep. It never accepts, and reads no
/// request.
pub fn keep_alive(plan: &Plan) -> anyhow::Result<()> {
    // First: from here on no signal ends the master half-way.
    let children = Children::new(&[Signal::SIGINT, Signal::SIGTERM])?;
    let mut master = Master {
        plan,
        children,
        listener: Some(plan.options.listen()?),
        workers: BTreeMap::new(),
        pause: None,
        retry_at: None,
        kill_at: None,
    };
    while !(master.listener.is_none() && master.workers.is_empty()) {
        master.start_missing()?;
        master.kill_overdue();
        for event in master.children.wait(master.retry_at.or(master.kill_at))? {
            master.on_event(event);
        }
    }
    Ok(())
}
// ANCHOR_END: keep_alive

// ANCHOR: master
struct Master<'a> {
    plan: &'a Plan,
    children: Children,
    /// For the workers that start later. `None`: the server stops.
    listener: Option<TcpListener>,
    /// The workers that have not exited.
    workers: BTreeMap<Id, State>,
    /// The last pause. `None`: the next failure is the first.
    pause: Option<Duration>,
    /// No worker starts before then.
    retry_at: Option<Instant>,
    /// When the workers that still run are sent SIGKILL.
    kill_at: Option<Instant>,
}

/// How far a worker is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It has not acknowledged its listener.
    Starting,
    Ready,
    /// It drains. It does not count any more, but it has not exited.
    Draining,
}
// ANCHOR_END: master

impl Master<'_> {
    // ANCHOR: on_event
    fn on_event(&mut self, event: Event) {
        match event {
            // The only handle that a worker is sent is its listener.
            Event::Acked(id) => self.ready(id),
            Event::Message(id, message, _) if message["act"] == "suicide" => {
                self.drains(id);
            }
            // A worker that could not be started has no Exit.
            Event::Exit(id, _) | Event::Close(id, Err(_)) => self.exited(id),
            // Without a listener a worker is of no use.
            Event::Returned(id, ..) => self.children.kill(id, Signal::SIGKILL),
            Event::Error(_, error) => complain(error),
            Event::Signal(_) => self.stop(),
            _ => {}
        }
    }

    fn ready(&mut self, id: Id) {
        if let Some(state @ State::Starting) = self.workers.get_mut(&id) {
            *state = State::Ready;
            self.pause = None;
        }
    }

    /// Starts no replacement, nor does `exited`: `start_missing` counts.
    fn drains(&mut self, id: Id) {
        let Some(state) = self.workers.get_mut(&id) else { return };
        if mem::replace(state, State::Draining) == State::Starting {
            self.failed();
        }
    }

    fn exited(&mut self, id: Id) {
        // If the worker has left a helper, that holds the other end of the channel.
        if self.children.connected(id) {
            self.children.disconnect(id);
        }
        if self.workers.remove(&id) == Some(State::Starting) {
            self.failed();
        }
    }

    /// A worker was never ready. Several failures in one pause count as one.
    fn failed(&mut self) {
        if self.retry_at.is_none() && self.listener.is_some() {
            let pause = self.pause.map_or(self.plan.first_pause, |it| it * 2);
            let pause = pause.min(self.plan.longest_pause);
            log(format_args!("a worker was never ready: a pause of {pause:?}"));
            self.pause = Some(pause);
            self.retry_at = Some(Instant::now() + pause);
        }
    }
    // ANCHOR_END: on_event

    // ANCHOR: start_missing
    /// Does not ask why a worker is missing: it counts, so none is replaced twice.
    fn start_missing(&mut self) -> anyhow::Result<()> {
        self.retry_at.take_if(|time| *time <= Instant::now());
        let (Some(listener), None) = (&self.listener, self.retry_at) else {
            return Ok(());
        };
        let counts = |state: &&State| **state != State::Draining;
        let running = self.workers.values().filter(counts).count();
        for _ in running..self.plan.options.workers {
            let id = self.children.spawn(self.plan.command()?);
            self.workers.insert(id, State::Starting);
            // If it could not be started, it needs no listener.
            if self.children.pid(id).is_some() {
                let copy = Handle::TcpListener(listener.try_clone()?);
                self.children.send_handle(id, json!("server"), copy);
            }
        }
        Ok(())
    }
    // ANCHOR_END: start_missing

    // ANCHOR: stop
    fn stop(&mut self) {
        if self.listener.take().is_some() {
            self.retry_at = None;
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
        for &id in self.workers.keys() {
            self.children.kill(id, signal);
        }
    }
    // ANCHOR_END: stop
}

/// The worker, as in solution 13.
pub fn serve(
    channel: HandleChannel,
    signals: SignalPipe,
    program: Greeter,
    limit: Duration,
) -> io::Result<()> {
    let mut worker = Worker {
        channel: Some(channel),
        signals,
        program,
        limit,
        listener: None,
        connections: Vec::new(),
        drain_until: None,
    };
    while !worker.is_drained() {
        worker.turn()?;
    }
    Ok(())
}

struct Worker {
    /// `None`: it has ended.
    channel: Option<HandleChannel>,
    signals: SignalPipe,
    program: Greeter,
    limit: Duration,
    /// `None`: it has not arrived, or the worker drains.
    listener: Option<TcpListener>,
    connections: Vec<Connection>,
    /// The worker drains, and exits then at the latest.
    drain_until: Option<Instant>,
}

impl Worker {
    fn turn(&mut self) -> io::Result<()> {
        wait(
            self.channel.as_ref(),
            &self.signals,
            self.listener.as_ref(),
            &self.connections,
            self.drain_until,
        )?;
        if !self.signals.take().is_empty() {
            self.start_draining();
        }
        self.receive();
        self.go_on();
        // Last, when it is known whether the worker drains. One in a turn: the next
        // client may find a worker that has less to do.
        self.connections.extend(self.listener.as_ref().and_then(accept));
        Ok(())
    }

    fn receive(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        for received in channel.receive() {
            match received {
                // During a drain it is too late for a listener.
                Received::Handle(_, Handle::TcpListener(listener))
                    if self.drain_until.is_none() =>
                {
                    self.listener = Some(listener);
                }
                Received::Closed(_) => {
                    // poll(2) would report the end in each turn.
                    self.channel = None;
                    return self.start_draining();
                }
                _ => {}
            }
        }
    }

    fn go_on(&mut self) {
        let last = self.drain_until.is_some();
        let mut failed = false;
        self.connections.retain_mut(|connection| {
            let step = connection.step(&mut self.program, last);
            failed |= step == Step::Failed;
            step != Step::Closed
        });
        if failed {
            self.start_draining();
        }
    }

    /// Only the first reason counts: a later one neither tells the parent again nor
    /// moves the deadline.
    fn start_draining(&mut self) {
        if self.drain_until.is_some() {
            return;
        }
        self.drain_until = Some(Instant::now() + self.limit);
        // This closes our copy only. The clients in the backlog are left to other
        // workers.
        self.listener = None;
        if let Some(channel) = &mut self.channel {
            // Now, not at the end: the replacement starts while this worker still
            // answers.
            if let Err(error) = channel.send(&json!({"act": "suicide"})) {
                complain(error);
            }
        }
    }

    fn is_drained(&self) -> bool {
        let is_over =
            |until| self.connections.is_empty() || until <= Instant::now();
        self.drain_until.is_some_and(is_over)
    }
}
