//! Solution.

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;
use cli::complain;
use serde_json::json;

use crate::harness::{Connection, Heard, LIMIT, Step, accept, hear, wait};

// ANCHOR: serve
/// The worker: takes the listener that comes through `channel`, and answers, until it is drained.
pub fn serve(channel: HandleChannel, signals: SignalPipe) -> io::Result<u8> {
    let mut worker = Worker {
        channel: Some(channel),
        signals,
        listener: None,
        connections: Vec::new(),
        drain_until: None,
    };
    while !worker.is_drained() {
        worker.turn()?;
    }
    Ok(1)
}
// ANCHOR_END: serve

// ANCHOR: worker
struct Worker {
    /// `None`: the parent is gone.
    channel: Option<HandleChannel>,
    signals: SignalPipe,
    listener: Option<TcpListener>,
    connections: Vec<Connection>,
    /// It drains, and ends then, whoever is still connected.
    drain_until: Option<Instant>,
}
// ANCHOR_END: worker

impl Worker {
    // ANCHOR: turn
    /// One thread accepts and decides to drain, one after the other: so these two cannot race.
    fn turn(&mut self) -> io::Result<()> {
        // Not in the list, or poll(2) would return at once for those who now wait for another.
        let listener =
            self.listener.as_ref().filter(|_| self.drain_until.is_none());
        let channel = self.channel.as_ref();
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
        if self.drain_until.is_none() {
            self.connections.extend(self.listener.as_ref().and_then(accept));
        }
        Ok(())
    }
    // ANCHOR_END: turn

    // ANCHOR: hear_parent
    fn hear_parent(&mut self) {
        match self.channel.as_mut().map(hear) {
            Some(Heard::Listener(listener)) => self.listener = Some(listener),
            Some(Heard::ParentIsGone) => {
                self.channel = None;
                self.start_draining();
            }
            Some(Heard::Nothing) | None => {}
        }
    }

    fn go_on(&mut self) {
        let mut failed = false;
        self.connections.retain_mut(|connection| {
            let step = connection.step();
            failed |= step == Step::Failed;
            step != Step::Closed
        });
        if failed {
            self.start_draining();
        }
    }
    // ANCHOR_END: hear_parent

    // ANCHOR: start_draining
    /// The first reason counts. A second one neither says it again nor moves the deadline.
    fn start_draining(&mut self) {
        if self.drain_until.is_some() {
            return;
        }
        self.drain_until = Some(Instant::now() + LIMIT);
        // Now, not at the end: the replacement starts while this worker is still at work.
        if let Some(channel) = &mut self.channel {
            if let Err(error) = channel.send(&json!({"act": "suicide"})) {
                complain(error);
            }
        }
    }

    fn is_drained(&self) -> bool {
        let is_over =
            |until| self.connections.is_empty() || Instant::now() >= until;
        self.drain_until.is_some_and(is_over)
    }
    // ANCHOR_END: start_draining
}
