//! Clients for what wrk does not do: idle connections, and a worker's death.

use std::{
    collections::HashMap,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use testkit::{
    Signal,
    http::{self, Client},
    load::{Kind, Load},
    pid_in, try_eventually,
};

use crate::{processes, servers::Started};

/// How long a client waits for an answer after a worker was killed.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// The pause after a request that failed.
const PAUSE: Duration = Duration::from_micros(200);

/// Connections that have had one answer and are kept.
#[derive(Default)]
pub struct Idle {
    clients: Vec<Client>,
    /// How many were opened to each worker.
    pub by_worker: HashMap<i32, usize>,
}

impl Idle {
    /// Opens connections, one after another, until there are `count`.
    ///
    /// # Errors
    /// If a connection fails or is not answered.
    pub fn open(&mut self, addr: SocketAddr, count: usize) -> anyhow::Result<()> {
        while self.clients.len() < count {
            let number = self.clients.len() + 1;
            let attempt = || {
                let mut client = Client::connect(addr)?;
                client.get("/").map(|response| (client, response))
            };
            let (client, response) =
                attempt().with_context(|| format!("connection {number}"))?;
            let pid = pid_in(&response.body).context("an answer without a pid")?;
            self.clients.push(client);
            *self.by_worker.entry(pid).or_default() += 1;
        }
        Ok(())
    }

    /// How many still answer.
    pub fn answered(&mut self) -> usize {
        self.clients.iter_mut().filter_map(|it| it.get("/").ok()).count()
    }
}

/// Kills the only worker, and returns how long it takes until a request is answered
/// that is sent afterwards.
///
/// # Errors
/// If none is answered within 10 s.
pub fn kill_the_only_worker(server: &Started) -> anyhow::Result<Duration> {
    // A worker that has served nothing may be replaced later than others.
    for _ in 0..20 {
        http::get(server.addr)?;
    }
    let workers = server.running.children();
    let [worker] = &workers[..] else {
        bail!("{} workers, not one", workers.len())
    };
    worker.signal(Signal::SIGKILL);
    let killed = Instant::now();
    while http::get(server.addr).is_err() {
        if killed.elapsed() > ANSWER_LIMIT {
            bail!("no answer {ANSWER_LIMIT:?} after a worker was killed");
        }
        thread::sleep(PAUSE);
    }
    Ok(killed.elapsed())
}

/// What a worker's death costs.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    /// Connections that the worker had open.
    pub held: usize,
    /// Requests without an answer, those that were refused included.
    pub lost: u64,
    /// The longest that an answered request took.
    pub slowest: Duration,
}

/// Kills one of two workers while `clients` clients make requests.
///
/// # Errors
/// If there is no worker to kill.
pub fn kill_under_load(server: &Started, clients: usize) -> anyhow::Result<Death> {
    let load = Load { addr: server.addr, clients, kind: Kind::HttpClose }.start();
    load.wait_for_more(500, ANSWER_LIMIT);
    let workers = server.running.children();
    let victim = workers.first().context("no worker is left")?;
    // What it holds while it is stopped is what its death costs.
    victim.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_millis(20));
    let held = processes::connections(victim.pid, server.addr.port());
    victim.signal(Signal::SIGKILL);
    // Until its successor is there, and a while longer.
    let count = workers.len();
    let is_full = || {
        let now = server.running.children();
        (now.len() == count && !now.iter().any(|it| it.pid == victim.pid))
            .then_some(())
    };
    try_eventually(ANSWER_LIMIT, is_full).context("the worker is not replaced")?;
    load.wait_for_more(500, ANSWER_LIMIT);
    let report = load.stop();
    let lost = report.lost_count + report.refused;
    Ok(Death { held, lost, slowest: report.slowest })
}

/// Makes `count` requests from 16 clients, each on a new connection, and returns how
/// many each worker has answered.
///
/// # Errors
/// If one is not answered.
pub fn short(addr: SocketAddr, count: u64) -> anyhow::Result<HashMap<i32, u64>> {
    let report = Load { addr, clients: 16, kind: Kind::HttpClose }.run_total(count);
    if report.answered < count {
        bail!("not all of {count} requests were answered: {report}");
    }
    Ok(report.by_pid)
}
