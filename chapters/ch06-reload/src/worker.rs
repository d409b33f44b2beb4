// ANCHOR: top
//! A worker of chapter 5 that gives signs of life.

use std::{
    io,
    time::{Duration, Instant},
};

use ch05_restart::Worker;
use serde_json::json;

use crate::{Liveness, Site, backlog::accept_distant};
// ANCHOR_END: top

// ANCHOR: soon
/// How soon the master is told that requests were answered.
const SOON: Duration = Duration::from_millis(50);
// ANCHOR_END: soon

// ANCHOR: run
/// Serves until the worker has drained. Returns the exit code.
///
/// In between it gives signs of life, `{"act":"alive","requests":3}`: regularly, and
/// soon after it has answered requests. A handler that never returns ends that.
///
/// # Errors
/// Those of poll(2); none is expected.
pub fn run(mut worker: Worker<Site>, alive_limit: Duration) -> io::Result<u8> {
    let interval = Liveness::interval(alive_limit);
    let mut sent: Option<(Instant, u64)> = None;
    let mut accepted = false;
    loop {
        let requests = worker.handler().requests();
        let next = match sent {
            None => Instant::now(),
            Some((at, told)) if told != requests => at + SOON.min(interval),
            Some((at, _)) => at + interval,
        };
        if next <= Instant::now() {
            worker.send(&json!({"act": "alive", "requests": requests}));
            sent = Some((Instant::now(), requests));
        } else if let Some(exit_code) = worker.turn(Some(next))? {
            return Ok(exit_code);
        }
        let (connections, drains) = worker.connections();
        if drains && !accepted {
            // One that was accepted at the very end may not hear its client.
            connections.for_each(accept_distant);
            accepted = true;
        }
    }
}
// ANCHOR_END: run
