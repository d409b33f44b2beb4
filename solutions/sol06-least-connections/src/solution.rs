//! Solution.

use ch02_balance::RoundRobin;

// ANCHOR: loads
/// How many connections each worker has. A worker is a number, from 0.
#[derive(Debug)]
pub struct Loads {
    limit: usize,
    /// `None` if the worker has exited. It has no count then, so nothing can take
    /// it for a worker with 0 connections.
    open: Vec<Option<usize>>,
}

impl Loads {
    /// Books for so many workers. All of them run, and have no connection. A worker
    /// that has `limit` connections is full.
    pub fn new(workers: usize, limit: usize) -> Loads {
        Loads { limit, open: vec![Some(0); workers] }
    }

    /// `worker` was sent a connection.
    pub fn opened(&mut self, worker: usize) {
        if let Some(open) = &mut self.open[worker] {
            *open += 1;
        }
    }

    /// `worker` reports that it has closed a connection. If it has none, the report
    /// is wrong and changes nothing.
    pub fn closed(&mut self, worker: usize) {
        if let Some(open) = &mut self.open[worker] {
            *open = open.saturating_sub(1);
        }
    }

    /// `worker` has exited, so its connections are closed. Until it is respawned,
    /// `opened` and `closed` change nothing.
    pub fn exited(&mut self, worker: usize) {
        self.open[worker] = None;
    }

    /// A new process runs in the place of `worker`. It has no connection.
    pub fn respawned(&mut self, worker: usize) {
        self.open[worker] = Some(0);
    }

    /// How many connections each worker has; `None` if it is full or has exited.
    pub fn available(&self) -> Vec<Option<usize>> {
        let below_limit =
            |open: &Option<usize>| open.filter(|open| *open < self.limit);
        self.open.iter().map(below_limit).collect()
    }
}
// ANCHOR_END: loads

// ANCHOR: least
/// Which worker gets the next connection: the one with the fewest.
#[derive(Debug, Default)]
pub struct LeastConnections {
    turn: RoundRobin,
}

impl LeastConnections {
    /// The worker with the fewest connections. `loads` is what [`Loads::available`]
    /// returns: a worker with `None` is never picked. `None` if there is no other.
    ///
    /// If several workers have the fewest, they take turns: it is the first of them
    /// after the worker that was picked last, and 0 comes after the last worker.
    /// The first turn is 0's.
    pub fn pick(&mut self, loads: &[Option<usize>]) -> Option<usize> {
        let fewest = loads.iter().flatten().min()?;
        // Round robin among the workers that have the fewest.
        self.turn.pick(loads.len(), |worker| loads[worker] == Some(*fewest))
    }
}
// ANCHOR_END: least
