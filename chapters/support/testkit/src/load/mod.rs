//! Many requests at once, each one accounted for.
//!
//! It shares the machine with the server that it loads, so it is made to cost little: a request
//! takes one write and as few reads as there are, into buffers that are used again.

mod client;
mod report;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub use report::Report;

use crate::wait::eventually;
use client::Client;

/// What to do to whom.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The server.
    pub addr: SocketAddr,
    /// How many clients ask at the same time. Each is a thread and has one request under way.
    pub clients: usize,
    /// How they ask.
    pub kind: Kind,
}

/// How a client asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection each; the answer is chapter 2's line without any HTTP, up to the end of the
    /// stream.
    Raw,
    /// A connection each, with `Connection: close`; the answer is HTTP and names a pid.
    HttpClose,
    /// One connection for as long as the server keeps it. An answer with `Connection: close` is
    /// followed by a new connection; a connection that ends in any other way has lost a request.
    HttpKeepAlive,
}

impl Load {
    /// Makes `n` requests in all and blocks until each is answered, lost or refused.
    ///
    /// # Panics
    /// When the threads cannot be started.
    pub fn run_total(&self, n: u64) -> Report {
        self.spawn(n).join()
    }

    /// Makes requests in the background until it is told to stop.
    ///
    /// # Panics
    /// When the threads cannot be started.
    pub fn start(&self) -> Background {
        self.spawn(u64::MAX)
    }

    fn spawn(&self, total: u64) -> Background {
        let shared = Arc::new(Shared { total, ..Shared::default() });
        let started = Instant::now();
        let clients = (0..self.clients)
            .map(|_| {
                let (load, shared) = (*self, Arc::clone(&shared));
                // A small stack: there may be thousands.
                let thread = thread::Builder::new().stack_size(256 * 1024);
                thread
                    .spawn(move || Client::new(load).run(&shared))
                    .expect("a client's thread")
            })
            .collect();
        Background { shared, clients, started }
    }
}

/// A load that goes on until it is stopped. Dropping it ends it too, without waiting.
pub struct Background {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<Report>>,
    started: Instant,
}

impl Background {
    /// How many requests have been answered so far.
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Blocks until `n` more requests have been answered: proof that the server goes on.
    ///
    /// # Panics
    /// When they have not been `within` that time.
    #[track_caller]
    pub fn wait_for_more(&self, n: u64, within: Duration) {
        let goal = self.answered() + n;
        eventually(&format!("{n} more answers under load"), within, || {
            self.answered() >= goal
        });
    }

    /// Lets each client finish the request that it has under way, and reports.
    ///
    /// # Panics
    /// When a client has panicked.
    pub fn stop(self) -> Report {
        self.shared.stop.store(true, Ordering::Relaxed);
        self.join()
    }

    fn join(mut self) -> Report {
        let mut report = Report::default();
        for client in std::mem::take(&mut self.clients) {
            report.add(client.join().expect("a client panicked"));
        }
        report.elapsed = self.started.elapsed();
        report
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

/// What the clients of one load share.
#[derive(Default)]
struct Shared {
    total: u64,
    begun: AtomicU64,
    answered: AtomicU64,
    stop: AtomicBool,
}

impl Shared {
    /// Whether there is one more request to make.
    fn next(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
            && self.begun.fetch_add(1, Ordering::Relaxed) < self.total
    }
}
