//! Your part: the books, and the policy. Both are plain data: no process, no socket, no clock.

/// How many connections each worker has. A worker is a number, from 0.
#[derive(Debug)]
pub struct Loads {
    // The fields are yours.
}

impl Loads {
    /// So many workers, all of them there and without a connection. One with `limit` connections is
    /// full.
    pub fn new(workers: usize, limit: usize) -> Loads {
        todo!("remember {workers} workers and the limit {limit}")
    }

    /// `worker` was given a connection.
    pub fn opened(&mut self, worker: usize) {
        todo!("{worker} has one more")
    }

    /// `worker` says that it has closed one. It may be wrong: nobody has fewer than none.
    pub fn closed(&mut self, worker: usize) {
        todo!("{worker} has one fewer")
    }

    /// `worker` has died, and its connections with it. Nobody can give it one, or close one.
    pub fn gone(&mut self, worker: usize) {
        todo!("{worker} is not there")
    }

    /// A new process has taken the place of `worker`. It has no connection.
    pub fn back(&mut self, worker: usize) {
        todo!("{worker} is there again")
    }

    /// How many connections each worker has. `None`: it is full, or gone.
    pub fn available(&self) -> Vec<Option<usize>> {
        todo!("{self:?}, as a list")
    }
}

/// Who gets the next connection: the worker that has the fewest.
#[derive(Debug, Default)]
pub struct LeastConnections {
    // The fields are yours.
}

impl LeastConnections {
    /// The worker with the fewest connections. `loads` is what [`Loads::available`] returns; whoever is
    /// full or gone is passed over. `None` if nobody is left.
    ///
    /// If several have the fewest, they take turns: it is the first of them behind the worker that was
    /// picked last, and after the last worker comes 0 again. The first turn is 0's.
    pub fn pick(&mut self, loads: &[Option<usize>]) -> Option<usize> {
        todo!("the worker with the fewest of {loads:?}")
    }
}
