//! Your part: the books, and the policy. Both are plain data, without a process, a
//! socket or a clock.

/// How many connections each worker has. A worker is a number, from 0.
#[derive(Debug)]
pub struct Loads {
    // The fields are yours.
}

impl Loads {
    /// Books for so many workers. All of them run, and have no connection. A worker
    /// that has `limit` connections is full.
    pub fn new(workers: usize, limit: usize) -> Loads {
        todo!("books for {workers} workers and the limit {limit}")
    }

    /// `worker` was sent a connection.
    pub fn opened(&mut self, worker: usize) {
        todo!("worker {worker} has one connection more")
    }

    /// `worker` reports that it has closed a connection. If it has none, the report
    /// is wrong and changes nothing.
    pub fn closed(&mut self, worker: usize) {
        todo!("worker {worker} has one connection fewer")
    }

    /// `worker` has exited, so its connections are closed. Until it is respawned,
    /// `opened` and `closed` change nothing.
    pub fn exited(&mut self, worker: usize) {
        todo!("worker {worker} does not run")
    }

    /// A new process runs in the place of `worker`. It has no connection.
    pub fn respawned(&mut self, worker: usize) {
        todo!("worker {worker} runs again")
    }

    /// How many connections each worker has; `None` if it is full or has exited.
    pub fn available(&self) -> Vec<Option<usize>> {
        todo!("{self:?}, as a list")
    }
}

/// Which worker gets the next connection: the one with the fewest.
#[derive(Debug, Default)]
pub struct LeastConnections {
    // The fields are yours.
}

impl LeastConnections {
    /// The worker with the fewest connections. `loads` is what [`Loads::available`]
    /// returns: a worker with `None` is never picked. `None` if there is no other.
    ///
    /// If several workers have the fewest, they take turns: it is the first of them
    /// after the worker that was picked last, and 0 comes after the last worker.
    /// The first turn is 0's.
    pub fn pick(&mut self, loads: &[Option<usize>]) -> Option<usize> {
        todo!("the worker with the fewest of {loads:?}")
    }
}
