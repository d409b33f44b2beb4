// ANCHOR: top
//! Round-robin: which worker gets the next connection. Plain data, like chapter 5's
//! supervisor.

use ch04_events::Id;
// ANCHOR_END: top

// ANCHOR: fields
/// Connections that may be in flight to one worker: sent, and not acknowledged.
const MOST_IN_FLIGHT: usize = 32;

/// The workers that take connections, in turn.
#[derive(Debug)]
pub struct Assignment {
    workers: Vec<(Id, usize)>,
    /// The index of the worker whose turn it is.
    next: usize,
    /// Connections that may be in flight to all workers together.
    most: usize,
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
        if !self.workers.iter().any(|(it, _)| *it == id) {
            self.workers.push((id, 0));
        }
    }

    /// This worker takes no more.
    pub fn remove(&mut self, id: Id) {
        if let Some(index) = self.workers.iter().position(|(it, _)| *it == id) {
            self.workers.remove(index);
            if index < self.next {
                self.next -= 1;
            }
        }
    }

    /// The workers that take connections.
    pub fn workers(&self) -> impl Iterator<Item = Id> {
        self.workers.iter().map(|(id, _)| *id)
    }
    // ANCHOR_END: new

    // ANCHOR: pick
    /// The worker that gets the next connection. `None`: none has room.
    pub fn pick(&mut self) -> Option<Id> {
        if self.in_flight() >= self.most {
            return None;
        }
        for _ in 0..self.workers.len() {
            self.next %= self.workers.len();
            let (id, in_flight) = &mut self.workers[self.next];
            self.next += 1;
            if *in_flight < MOST_IN_FLIGHT {
                *in_flight += 1;
                return Some(*id);
            }
        }
        None
    }

    /// Whether a worker has room for a connection.
    pub fn has_room(&self) -> bool {
        let has_room = |(_, in_flight): &(Id, usize)| *in_flight < MOST_IN_FLIGHT;
        self.in_flight() < self.most && self.workers.iter().any(has_room)
    }

    /// How many connections are in flight.
    pub fn in_flight(&self) -> usize {
        self.workers.iter().map(|(_, in_flight)| in_flight).sum()
    }

    /// A worker has acknowledged a connection, or it came back.
    pub fn landed(&mut self, id: Id) {
        if let Some((_, count)) = self.workers.iter_mut().find(|(it, _)| *it == id)
        {
            *count = count.saturating_sub(1);
        }
    }
    // ANCHOR_END: pick
}
