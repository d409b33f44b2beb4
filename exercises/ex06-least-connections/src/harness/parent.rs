//! Given: the parent. It accepts, asks your policy, and keeps your books.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use ch01_fork_ipc::Child;
use ch02_balance::{FdChannel, Received, poll_tokens};
use cli::{Options, complain, log};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::show;
use crate::solution::{LeastConnections, Loads};

/// So many workers may exit before the parent gives up.
const MOST_EXITS: usize = 100;

/// Connections in flight to one worker.
const WINDOW: usize = 64;

struct Balancer<'a> {
    options: &'a Options,
    listener: TcpListener,
    workers: Vec<Worker>,
    loads: Loads,
    policy: LeastConnections,
    /// Accepted connections that no worker has.
    waiting: VecDeque<OwnedFd>,
    exits: usize,
}

struct Worker {
    child: Child,
    channel: FdChannel,
}

/// What poll(2) has found.
enum Token {
    Listener,
    Worker(usize),
}

/// The parent. It runs until a signal ends it, and its workers with it.
pub fn balance(options: &Options, limit: usize) -> anyhow::Result<ExitCode> {
    let loads = Loads::new(options.workers, limit);
    let listener = options.listen()?;
    listener.set_nonblocking(true)?;
    let workers = (0..options.workers).map(|index| start(options, index));
    let mut balancer = Balancer {
        options,
        listener,
        workers: workers.collect::<Result<_, _>>()?,
        loads,
        policy: LeastConnections::default(),
        waiting: VecDeque::new(),
        exits: 0,
    };
    let mut shown = String::new();
    loop {
        balancer.send_waiting()?;
        let loads = show(&balancer.loads.available());
        if loads != shown {
            log(&loads);
            shown = loads;
        }
        for token in balancer.poll()? {
            match token {
                Token::Listener => balancer.accept()?,
                Token::Worker(index) => balancer.receive(index)?,
            }
        }
    }
}

fn start(options: &Options, index: usize) -> anyhow::Result<Worker> {
    let (child, stream) =
        Child::spawn(options.worker()?).context("cannot start a worker")?;
    log(format_args!("worker {index} is {}", child.pid()));
    Ok(Worker { child, channel: FdChannel::new(stream, WINDOW)? })
}

impl Balancer<'_> {
    /// Whether a worker could take one connection more.
    fn has_room(&self) -> bool {
        self.waiting.is_empty()
            && self.loads.available().iter().any(Option::is_some)
    }

    fn poll(&self) -> io::Result<Vec<Token>> {
        let mut polled = Vec::new();
        if self.has_room() {
            let listener = PollFd::new(self.listener.as_fd(), PollFlags::POLLIN);
            polled.push((Token::Listener, listener));
        }
        for (index, Worker { channel, .. }) in self.workers.iter().enumerate() {
            let fd = PollFd::new(channel.as_fd(), channel.interest());
            polled.push((Token::Worker(index), fd));
        }
        poll_tokens(polled, None)
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        match self.listener.accept() {
            Ok((connection, _)) => self.waiting.push_back(connection.into()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error).context("cannot accept"),
        }
        Ok(())
    }

    /// Sends each connection to the worker that your policy picks.
    fn send_waiting(&mut self) -> anyhow::Result<()> {
        while let Some(connection) = self.waiting.pop_front() {
            let available = self.loads.available();
            let Some(index) = self.policy.pick(&available) else {
                self.waiting.push_front(connection);
                return Ok(());
            };
            if available.get(index).copied().flatten().is_none() {
                bail!(
                    "your policy picks worker {index}, which is full or has exited: {available:?}"
                );
            }
            self.loads.opened(index);
            let channel = &mut self.workers[index].channel;
            let sent =
                channel.send_handle("net.Socket", Value::from("hold"), connection);
            if let Err(not_sent) = sent {
                bail!("cannot send to worker {index}: {}", not_sent.error);
            }
        }
        Ok(())
    }

    /// Reads what a worker has sent, and replaces it if its channel has ended.
    fn receive(&mut self, index: usize) -> anyhow::Result<()> {
        for received in self.workers[index].channel.receive() {
            match received {
                // A worker sends a message for each connection that it has closed.
                Received::Message(_) => self.loads.closed(index),
                Received::Returned(_, connection) => {
                    self.loads.closed(index);
                    self.waiting.push_back(connection);
                }
                Received::Acked | Received::Handle(..) | Received::Internal(_) => {}
                Received::Ignored(why) => complain(why),
                Received::Closed(_) => return self.respawn(index),
            }
        }
        Ok(())
    }

    /// A worker is gone, and with it the connections that it has acknowledged. The
    /// others go to the next that your policy picks.
    fn respawn(&mut self, index: usize) -> anyhow::Result<()> {
        self.exits += 1;
        if self.exits > MOST_EXITS {
            bail!("{MOST_EXITS} workers have exited");
        }
        self.loads.exited(index);
        let loads = show(&self.loads.available());
        log(format_args!("worker {index} has exited; {loads}"));
        let new = start(self.options, index)?;
        self.loads.respawned(index);
        let mut old = std::mem::replace(&mut self.workers[index], new);
        // A worker without a channel is of no use. Mostly it has exited by itself.
        let _ = old.child.kill(Signal::SIGKILL);
        let _ = old.child.wait();
        let unacknowledged = old.channel.into_unacknowledged().into_iter();
        self.waiting.extend(unacknowledged.map(|(_, connection)| connection));
        Ok(())
    }
}
