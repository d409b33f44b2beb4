//! Solution: exercises 12 and 13, put together.

use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ch03_handles::{Handle, HandleChannel};
use ch04_events::{ChildError, Children, Event, Id, SignalPipe};
use cli::{complain, log};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::harness::{
    Connection, FIRST_PAUSE, Greeter, Heard, LIMIT, LONGEST_PAUSE, Plan,
    STOP_LIMIT, Step, accept, hear, wait,
};

// ANCHOR: keep_alive
/// The parent: one thread, one place to sleep. It never accepts, and never reads a request.
pub fn keep_alive(plan: &Plan) -> anyhow::Result<()> {
    // First: from here on, no signal ends it half way.
    let children = Children::new(&[Signal::SIGINT, Signal::SIGTERM])?;
    let listener = Some(plan.options.listen()?);
    let (workers, pause) = (BTreeMap::new(), Duration::ZERO);
    let mut master = Master {
        plan,
        children,
        listener,
        workers,
        pause,
        retry: None,
        kill_at: None,
    };
    while !(master.listener.is_none() && master.workers.is_empty()) {
        master.start_missing()?;
        master.kill_overdue();
        for event in master.children.wait(master.retry.or(master.kill_at))? {
            master.hear(event);
        }
    }
    Ok(())
}

struct Master<'a> {
    plan: &'a Plan,
    children: Children,
    /// To give to those who start later. `None`: all are to end.
    listener: Option<TcpListener>,
    /// Those that have not ended.
    workers: BTreeMap<Id, Stage>,
    /// The last pause; zero, if somebody got ready since.
    pause: Duration,
    /// Nobody is started before then.
    retry: Option<Instant>,
    /// Whoever lives then is killed.
    kill_at: Option<Instant>,
}

/// How far a worker is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has not acknowledged its listener.
    Starting,
    Serving,
    /// It drains, and does not count any more.
    Leaving,
}
// ANCHOR_END: keep_alive

impl Master<'_> {
    // ANCHOR: hear
    fn hear(&mut self, event: Event) {
        match event {
            // The only handle that it was sent is the listener.
            Event::Acked(id) => self.got_ready(id),
            Event::Message(id, received)
                if received.message["act"] == "suicide" =>
            {
                self.leaves(id)
            }
            // One that was never started has no Exit.
            Event::Exit(id, _) | Event::Close(id, Err(_)) => self.ended(id),
            Event::Error(id, error) => {
                complain(&error);
                // Without its listener it is of no use.
                if matches!(error, ChildError::Refused | ChildError::Send(_)) {
                    self.children.kill(id, Signal::SIGKILL);
                }
            }
            Event::Signal(_) => self.stop(),
            _ => {}
        }
    }

    fn got_ready(&mut self, id: Id) {
        if let Some(stage @ Stage::Starting) = self.workers.get_mut(&id) {
            *stage = Stage::Serving;
            self.pause = Duration::ZERO;
        }
    }

    /// Nobody is started here, nor in `ended`: `start_missing` counts.
    fn leaves(&mut self, id: Id) {
        let Some(stage) = self.workers.get_mut(&id) else { return };
        if std::mem::replace(stage, Stage::Leaving) == Stage::Starting {
            self.failed();
        }
    }
    // ANCHOR_END: hear

    // ANCHOR: start_missing
    /// Nobody is replaced because of an event. It counts: so nobody is replaced twice.
    fn start_missing(&mut self) -> anyhow::Result<()> {
        self.retry.take_if(|retry| *retry <= Instant::now());
        let Some(listener) =
            self.listener.as_ref().filter(|_| self.retry.is_none())
        else {
            return Ok(());
        };
        let there =
            self.workers.values().filter(|stage| **stage != Stage::Leaving).count();
        for _ in there..self.plan.options.workers {
            let id = self.children.spawn(self.plan.command()?);
            self.workers.insert(id, Stage::Starting);
            match listener.try_clone() {
                _ if self.children.pid(id).is_none() => {}
                Ok(it) => self.children.send_handle(
                    id,
                    json!("server"),
                    Handle::TcpListener(it),
                ),
                Err(error) => {
                    complain(error);
                    self.children.kill(id, Signal::SIGKILL);
                }
            }
        }
        Ok(())
    }
    // ANCHOR_END: start_missing

    fn ended(&mut self, id: Id) {
        // Whoever else holds its end of the channel, that is no worker.
        if self.children.connected(id) {
            self.children.disconnect(id);
        }
        if self.workers.remove(&id) == Some(Stage::Starting) {
            self.failed();
        }
    }

    /// A worker was never ready. Several that fail together are one failure.
    fn failed(&mut self) {
        if self.retry.is_none() && self.listener.is_some() {
            self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
            self.retry = Some(Instant::now() + self.pause);
            log(format_args!(
                "a worker was never ready: a pause of {:?}",
                self.pause
            ));
        }
    }

    fn stop(&mut self) {
        if self.listener.take().is_some() {
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
}

// ANCHOR: serve
/// The worker: one thread, which alone accepts and alone decides to drain. So these two never race.
pub fn serve(
    channel: HandleChannel,
    signals: SignalPipe,
    program: Greeter,
) -> io::Result<()> {
    let (channel, listener, connections, drain_until) =
        (Some(channel), None, Vec::new(), None);
    let mut worker =
        Worker { channel, signals, program, listener, connections, drain_until };
    while !worker.is_drained() {
        worker.turn()?;
    }
    Ok(())
}

struct Worker {
    /// `None`: the parent is gone.
    channel: Option<HandleChannel>,
    signals: SignalPipe,
    program: Greeter,
    listener: Option<TcpListener>,
    connections: Vec<Connection>,
    /// It drains, and ends then, whoever is still connected.
    drain_until: Option<Instant>,
}

impl Worker {
    fn turn(&mut self) -> io::Result<()> {
        let (channel, listener) = (self.channel.as_ref(), self.listener.as_ref());
        wait(
            channel,
            &self.signals,
            listener,
            &self.connections,
            self.drain_until,
        )?;
        self.hear_parent();
        if !self.signals.take().is_empty() {
            self.start_draining();
        }
        self.go_on();
        // One in a turn: the next may be for a worker that is idle.
        self.connections.extend(self.listener.as_ref().and_then(accept));
        Ok(())
    }
    // ANCHOR_END: serve

    fn hear_parent(&mut self) {
        match self.channel.as_mut().map(hear) {
            // Too late, if it drains already.
            Some(Heard::Listener(it)) => {
                self.listener = self.drain_until.is_none().then_some(it)
            }
            Some(Heard::ParentIsGone) => {
                self.channel = None;
                self.start_draining();
            }
            Some(Heard::Nothing) | None => {}
        }
    }

    // ANCHOR: go_on
    fn go_on(&mut self) {
        let (program, last) = (&mut self.program, self.drain_until.is_some());
        let mut failed = false;
        self.connections.retain_mut(|connection| {
            let step = connection.step(program, last);
            failed |= step == Step::Failed;
            step != Step::Closed
        });
        if failed {
            self.start_draining();
        }
    }

    /// The first reason counts. A second one neither says it again nor moves the deadline.
    fn start_draining(&mut self) {
        if self.drain_until.is_some() {
            return;
        }
        self.drain_until = Some(Instant::now() + LIMIT);
        // Closed here. Those who wait in it are for the others, who have it too.
        self.listener = None;
        // Now, not at the end: the replacement starts while this worker is still at work.
        if let Some(channel) = &mut self.channel {
            if let Err(error) = channel.send(&json!({"act": "suicide"})) {
                complain(error);
            }
        }
    }
    // ANCHOR_END: go_on

    fn is_drained(&self) -> bool {
        let is_over =
            |until| self.connections.is_empty() || Instant::now() >= until;
        self.drain_until.is_some_and(is_over)
    }
}
