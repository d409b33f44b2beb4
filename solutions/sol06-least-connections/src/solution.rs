//! Solution.

use ch02_balance::RoundRobin;

// ANCHOR: loads
/// How many connections each worker has. A worker is a number, from 0.
#[derive(Debug)]
pub struct Loads {
    limit: usize,
    /// `None`: the worker is gone. It has not 0 connections, it has no number at all: so nobody takes a
    /// dead worker for an idle one.
    open: Vec<Option<usize>>,
}

impl Loads {
    /// So many workers, all of them there and without a connection. One with `limit` connections is
    /// full.
    pub fn new(workers: usize, limit: usize) -> Loads {
        Loads { limit, open: vec![Some(0); workers] }
    }

    /// `worker` was given a connection.
    pub fn opened(&mut self, worker: usize) {
        if let Some(open) = &mut self.open[worker] {
            *open += 1;
        }
    }

    /// `worker` says that it has closed one. It may be wrong: nobody has fewer than none.
    pub fn closed(&mut self, worker: usize) {
        if let Some(open) = &mut self.open[worker] {
            // What a child says must not end its parent, nor make it count from 2^64 downwards.
            *open = open.saturating_sub(1);
        }
    }

    /// `worker` has died, and its connections with it. Nobody can give it one, or close one.
    pub fn gone(&mut self, worker: usize) {
        self.open[worker] = None;
    }

    /// A new process has taken the place of `worker`. It has no connection.
    pub fn back(&mut self, worker: usize) {
        self.open[worker] = Some(0);
    }

    /// How many connections each worker has. `None`: it is full, or gone.
    pub fn available(&self) -> Vec<Option<usize>> {
        self.open
            .iter()
            .map(|open| open.filter(|open| *open < self.limit))
            .collect()
    }
}
// ANCHOR_END: loads

// ANCHOR: least
/// Who gets the next connection: the worker that has the fewest.
#[derive(Debug, Default)]
pub struct LeastConnections {
    turn: RoundRobin,
}

impl LeastConnections {
    /// The worker with the fewest connections. `loads` is what [`Loads::available`] returns; whoever is
    /// full or gone is passed over. `None` if nobody is left.
    ///
    /// If several have the fewest, they take turns: it is the first of them behind the worker that was
    /// picked last, and after the last worker comes 0 again. The first turn is 0's.
    pub fn pick(&mut self, loads: &[Option<usize>]) -> Option<usize> {
        let fewest = loads.iter().flatten().min()?;
        // Round robin, among those that have the fewest: chapter 2 has it already.
        self.turn.pick(loads.len(), |worker| loads[worker] == Some(*fewest))
    }
}
// ANCHOR_END: least
