//! Clients for what wrk does not do: idle connections, and a worker's death.

use std::{
    collections::HashMap,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow, bail};
use testkit::{
    Signal,
    http::Client,
    load::{Kind, Load},
    pid_in, try_eventually,
};

use crate::{processes, servers::Started};

/// The clients that make requests while a worker is killed.
const CLIENTS: usize = 8;

/// The pause of each client between two requests.
const PAUSE: Duration = Duration::from_millis(1);

/// A request that takes longer is lost.
const REQUEST_LIMIT: Duration = Duration::from_secs(1);

/// How long no request may be answered.
const LIMIT: Duration = Duration::from_secs(10);

/// How long a victim is stopped before it is killed.
const SHORT: Duration = Duration::from_millis(20);

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

/// A request: when it began, when it ended, and whether it was answered.
struct Request {
    began: Instant,
    ended: Instant,
    is_answered: bool,
}

/// Requests from several clients at once, each on a new connection.
struct Clients {
    requests: Receiver<Request>,
    stop: Arc<AtomicBool>,
}

impl Clients {
    fn start(addr: SocketAddr) -> Clients {
        let stop = Arc::new(AtomicBool::new(false));
        let (sender, requests) = mpsc::channel();
        for _ in 0..CLIENTS {
            let (sender, stop) = (sender.clone(), stop.clone());
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let is_answered = fetch(addr).is_ok();
                    let ended = Instant::now();
                    let _ = sender.send(Request { began, ended, is_answered });
                    thread::sleep(PAUSE);
                }
            });
        }
        Clients { requests, stop }
    }

    /// Blocks until a request is answered that began at `since` or later. Returns when
    /// that was.
    fn answered_since(&self, since: Instant) -> anyhow::Result<Instant> {
        let end = since + LIMIT;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let request = self
                .requests
                .recv_timeout(left)
                .map_err(|_| anyhow!("no request was answered for {LIMIT:?}"))?;
            if request.is_answered && request.began >= since {
                return Ok(request.ended);
            }
        }
    }

    /// The requests that have not been looked at.
    fn stop(self) -> Vec<Request> {
        self.stop.store(true, Ordering::Relaxed);
        self.requests.iter().collect()
    }
}

/// One request on a new connection.
fn fetch(addr: SocketAddr) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&addr, REQUEST_LIMIT)?;
    stream.set_read_timeout(Some(REQUEST_LIMIT))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let is_right =
        response.starts_with("HTTP/1.1 200") && pid_in(&response).is_some();
    if is_right { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// Kills the only worker, and returns how long it takes until a request is answered
/// that began afterwards.
///
/// # Errors
/// If none is answered.
pub fn kill_the_only_worker(server: &Started) -> anyhow::Result<Duration> {
    let clients = Clients::start(server.addr);
    // A worker that has served nothing may be replaced later than others.
    clients.answered_since(Instant::now())?;
    let workers = server.running.children();
    let [worker] = &workers[..] else {
        bail!("{} workers, not one", workers.len())
    };
    worker.signal(Signal::SIGKILL);
    let killed = Instant::now();
    let answered = clients.answered_since(killed)?;
    clients.stop();
    Ok(answered - killed)
}

/// What a worker's death costs.
#[derive(Clone, Copy, Debug)]
pub struct Death {
    /// Connections that the worker had open.
    pub held: usize,
    /// Requests without an answer.
    pub lost: usize,
    /// The longest that an answered request took.
    pub slowest: Duration,
}

/// Kills one of two workers under load.
///
/// # Errors
/// If there is no worker to kill, or it is not replaced.
pub fn kill_under_load(server: &Started) -> anyhow::Result<Death> {
    let workers = server.running.children();
    let victim = workers.first().context("no worker is left")?;
    let idle = processes::sockets(victim.pid);
    let clients = Clients::start(server.addr);
    clients.answered_since(Instant::now())?;
    // What it holds while it is stopped is what its death costs.
    victim.signal(Signal::SIGSTOP);
    thread::sleep(SHORT);
    let held = processes::sockets(victim.pid).saturating_sub(idle);
    victim.signal(Signal::SIGKILL);
    // Until its successor is there, and a while longer.
    let count = workers.len();
    let is_full = || {
        let now = server.running.children();
        (now.len() == count && !now.iter().any(|it| it.pid == victim.pid))
            .then_some(())
    };
    try_eventually(LIMIT, is_full).context("the worker is not replaced")?;
    thread::sleep(5 * SHORT);
    let requests = clients.stop();
    let lost = requests.iter().filter(|it| !it.is_answered).count();
    let answered = requests.iter().filter(|it| it.is_answered);
    let slowest = answered.map(|it| it.ended - it.began).max().unwrap_or_default();
    Ok(Death { held, lost, slowest })
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
