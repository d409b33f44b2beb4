//! Solution.

use std::io;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use ch02_balance::Received;
use ch03_handles::{Handle, HandleChannel};
use ch04_events::SignalPipe;
use cli::complain;
use serde_json::json;

use crate::worker_io::{Connection, Greeter, Step, accept, wait};

// ANCHOR: serve
/// The worker: serves the listener that arrives through `channel`, until it has
/// drained.
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
// ANCHOR_END: serve

impl Worker {
    // ANCHOR: turn
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
    // ANCHOR_END: turn

    // ANCHOR: start_draining
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
    // ANCHOR_END: start_draining
}
