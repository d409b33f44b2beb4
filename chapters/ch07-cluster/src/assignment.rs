// ANCHOR: top
//! Round-robin: which worker gets the next connection. Plain data, like chapter 5's
//! supervisor.

use std::time::{Duration, Instant};

use ch04_events::Id;
// ANCHOR_END: top

// ANCHOR: fields
/// Connections that may be in flight to one worker: sent, and not acknowledged.
const MOST_IN_FLIGHT: usize = 32;

/// A worker that acknowledges nothing for so long is left out. Until then, the next
/// connection waits for it: otherwise a burst would not be spread evenly.
const PATIENCE: Duration = Duration::from_millis(100);

/// The workers that take connections, in turn.
#[derive(Debug)]
pub struct Assignment {
    workers: Vec<Worker>,
    /// The index of the worker whose turn it is.
    next: usize,
    /// Connections that may be in flight to all workers together.
    most: usize,
}

#[derive(Debug)]
struct Worker {
    id: Id,
    in_flight: usize,
    /// When it was full, if it has acknowledged nothing since.
    full_since: Option<Instant>,
}
// ANCHOR_END: fields

impl Assignment {
    // ANCHOR: new
    /// No workers yet. Up to `most` connections may be in flight at once: each of them
    /// takes a descriptor.
    pub fn new(most: usize) -> Assignment {
        Assignment { workers: Vec::new(), next: 0, most: most.max(1) }
    }

    /// This worker takes connections from now on.
    pub fn add(&mut self, id: Id) {
        self.workers.push(Worker { id, in_flight: 0, full_since: None });
    }

    /// This worker takes no more.
    pub fn remove(&mut self, id: Id) {
        if let Some(index) = self.workers.iter().position(|it| it.id == id) {
            self.workers.remove(index);
            if index < self.next {
                self.next -= 1;
            }
        }
    }

    /// The workers that take connections.
    pub fn workers(&self) -> impl Iterator<Item = Id> {
        self.workers.iter().map(|worker| worker.id)
    }
    // ANCHOR_END: new

    // ANCHOR: pick
    /// The worker that gets the next connection. `None`: it has no room yet.
    pub fn pick(&mut self, now: Instant) -> Option<Id> {
        let index = self.turn(now)?;
        self.next = index + 1;
        let worker = &mut self.workers[index];
        worker.in_flight += 1;
        if worker.in_flight == MOST_IN_FLIGHT {
            worker.full_since = Some(now);
        }
        Some(worker.id)
    }

    /// Whether there is a worker for the next connection.
    pub fn has_room(&self, now: Instant) -> bool {
        self.turn(now).is_some()
    }

    /// The index of the worker whose turn it is, if it has room.
    fn turn(&self, now: Instant) -> Option<usize> {
        if self.in_flight() >= self.most {
            return None;
        }
        let count = self.workers.len();
        for index in (self.next..self.next + count).map(|index| index % count) {
            match self.workers[index].full_since {
                None => return Some(index),
                Some(since) if since + PATIENCE <= now => {} // it hangs
                Some(_) => return None,
            }
        }
        None
    }

    /// When a worker will be left out, although nothing happens.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        let full = self.workers.iter().filter_map(|worker| worker.full_since);
        full.map(|since| since + PATIENCE).filter(|at| now < *at).min()
    }
    // ANCHOR_END: pick

    // ANCHOR: landed
    /// How many connections are in flight.
    pub fn in_flight(&self) -> usize {
        self.workers.iter().map(|worker| worker.in_flight).sum()
    }

    /// A worker has acknowledged a connection, or it came back.
    pub fn landed(&mut self, id: Id) {
        if let Some(worker) = self.workers.iter_mut().find(|it| it.id == id) {
            worker.in_flight = worker.in_flight.saturating_sub(1);
            worker.full_since = None;
        }
    }
    // ANCHOR_END: landed
}
