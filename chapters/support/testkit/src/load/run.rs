//! Starts the clients, and collects what they report.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};

use super::client::{Client, Failure, Kind};
use super::report::Report;
use crate::eventually::eventually;

/// The pause after a refused connection, so that trying again does not eat the CPU.
const PAUSE: Duration = Duration::from_millis(1);

/// What to request, and from which server.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The server.
    pub addr: SocketAddr,
    /// How many clients send requests at the same time. Each is a thread with one
    /// request in flight.
    pub clients: usize,
    /// How they send them.
    pub kind: Kind,
}

impl Load {
    /// Makes `n` requests in all and blocks until each is answered, lost or
    /// refused.
    ///
    /// # Panics
    /// If the threads cannot be started.
    pub fn run_total(&self, n: u64) -> Report {
        self.spawn(n).join()
    }

    /// Makes requests in the background, until it is stopped.
    ///
    /// # Panics
    /// If the threads cannot be started.
    pub fn start(&self) -> Background {
        self.spawn(u64::MAX)
    }

    fn spawn(&self, total: u64) -> Background {
        let progress = Arc::new(Progress { total, ..Progress::default() });
        let started = Instant::now();
        let clients = (0..self.clients).map(|_| {
            let client = Client::new(self.addr, self.kind);
            let progress = Arc::clone(&progress);
            // A small stack: there may be thousands.
            let thread = thread::Builder::new().stack_size(256 * 1024);
            thread.spawn(move || run(client, &progress)).expect("a client's thread")
        });
        Background { clients: clients.collect(), progress, started }
    }
}

fn run(mut client: Client, progress: &Progress) -> Report {
    let mut report = Report::default();
    while progress.begin_one() {
        let started = Instant::now();
        match client.request() {
            Ok(answer) => {
                report.answer(answer.pid, answer.name, started.elapsed());
                progress.answered.fetch_add(1, Ordering::Relaxed);
            }
            Err(Failure::Lost(why)) => {
                report.lose(format!("{why} (after {:.2?})", started.elapsed()));
            }
            Err(Failure::Refused) => {
                report.refused += 1;
                sleep(PAUSE);
            }
        }
    }
    report
}

/// A load that goes on until it is stopped. Dropping it stops it too, without
/// blocking.
pub struct Background {
    progress: Arc<Progress>,
    clients: Vec<JoinHandle<Report>>,
    started: Instant,
}

impl Background {
    /// How many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.progress.answered.load(Ordering::Relaxed)
    }

    /// Blocks until `n` more requests are answered: the server still works.
    ///
    /// # Panics
    /// If that takes longer than `within`.
    #[track_caller]
    pub fn wait_for_more(&self, n: u64, within: Duration) {
        let goal = self.answered() + n;
        eventually(&format!("{n} more responses under load"), within, || {
            self.answered() >= goal
        });
    }

    /// Blocks until each client has finished the request that it has in flight, and
    /// reports.
    ///
    /// # Panics
    /// If a client has panicked.
    pub fn stop(self) -> Report {
        self.progress.stop.store(true, Ordering::Relaxed);
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
        self.progress.stop.store(true, Ordering::Relaxed);
    }
}

/// What the clients of one load have done together.
#[derive(Default)]
struct Progress {
    total: u64,
    begun: AtomicU64,
    answered: AtomicU64,
    stop: AtomicBool,
}

impl Progress {
    /// Whether there is one more request to make. It then counts as begun.
    fn begin_one(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
            && self.begun.fetch_add(1, Ordering::Relaxed) < self.total
    }
}
