//! Given: the parent. It accepts, asks your policy, and keeps your books.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    process::ExitCode,
};

use anyhow::{Context as _, bail};
use ch01_fork_ipc::{Child, RecvError};
use ch02_balance::{FdChannel, Incoming, Leaving, poll_until};
use cli::{Options, complain, log};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
};
use serde_json::{Map, Value};

use super::show;
use crate::solution::{LeastConnections, Loads};

/// Workers that may die before the parent gives up.
const MOST_DEATHS: usize = 100;

struct Balancer<'a> {
    options: &'a Options,
    listener: TcpListener,
    workers: Vec<(Child, FdChannel)>,
    loads: Loads,
    policy: LeastConnections,
    /// Accepted, and nobody has them: no worker was free, or the one that was sent it has died.
    waiting: VecDeque<OwnedFd>,
    leaving: Leaving,
    deaths: usize,
}

/// The parent. It runs until a signal ends it.
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
        leaving: Leaving::default(),
        deaths: 0,
    };
    let mut shown = String::new();
    loop {
        balancer.hand_out()?;
        let loads = show(&balancer.loads.available());
        if loads != shown {
            log(&loads);
            shown = loads;
        }
        balancer.wait()?;
        for index in 0..balancer.workers.len() {
            balancer.hear(index)?;
        }
        balancer.accept()?;
        let _ = balancer.leaving.ended();
    }
}

fn start(options: &Options, index: usize) -> anyhow::Result<(Child, FdChannel)> {
    let (child, stream) =
        Child::spawn(options.worker()?).context("cannot start a worker")?;
    log(format_args!("worker {index} is {}", child.pid()));
    Ok((child, FdChannel::with_window(stream, 64)?))
}

impl Balancer<'_> {
    /// Whether somebody could take a connection.
    fn has_room(&self) -> bool {
        self.waiting.is_empty()
            && self.loads.available().iter().any(Option::is_some)
    }

    fn wait(&self) -> anyhow::Result<()> {
        let mut polled = Vec::new();
        if self.has_room() {
            polled.push(PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        }
        let channels = self.workers.iter().map(|(_, channel)| channel);
        polled.extend(channels.map(|it| PollFd::new(it.as_fd(), it.interest())));
        match poll(&mut polled, poll_until(self.leaving.wakes_at())) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error).context("cannot wait"),
        }
    }

    /// Accepts one connection, if one is there and somebody could take it.
    fn accept(&mut self) -> anyhow::Result<()> {
        if self.has_room() {
            match self.listener.accept() {
                Ok((connection, _)) => self.waiting.push_back(connection.into()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error).context("cannot accept"),
            }
        }
        Ok(())
    }

    /// Gives each connection to the worker that your policy picks.
    fn hand_out(&mut self) -> anyhow::Result<()> {
        while let Some(connection) = self.waiting.pop_front() {
            let available = self.loads.available();
            let Some(index) = self.policy.pick(&available) else {
                self.waiting.push_front(connection);
                return Ok(());
            };
            if available.get(index).copied().flatten().is_none() {
                bail!(
                    "your policy picks worker {index}, which is full or gone: {available:?}"
                );
            }
            self.loads.opened(index);
            let channel = &mut self.workers[index].1;
            if channel
                .pass("net.Socket", Map::new(), Value::from("hold"), connection)
                .is_err()
            {
                bail!("worker {index} takes nothing any more");
            }
        }
        Ok(())
    }

    /// Hears what a worker says, and replaces it if it is gone.
    fn hear(&mut self, index: usize) -> anyhow::Result<()> {
        loop {
            match self.workers[index].1.recv() {
                // It says so once for each.
                Ok(Some(Incoming::Message(_))) => self.loads.closed(index),
                Ok(Some(Incoming::Refused(_, connection))) => {
                    self.loads.closed(index);
                    self.waiting.push_back(connection);
                }
                Ok(Some(_)) => {}
                Err(error) if error.would_block() => return Ok(()),
                Err(error @ RecvError::Json(_)) => complain(error),
                Ok(None) | Err(_) => return self.replace(index),
            }
        }
    }

    /// A worker is gone, and with it the connections that it has acknowledged. A new one takes its
    /// place.
    fn replace(&mut self, index: usize) -> anyhow::Result<()> {
        self.deaths += 1;
        if self.deaths > MOST_DEATHS {
            bail!("{MOST_DEATHS} workers have died");
        }
        self.loads.gone(index);
        log(format_args!(
            "worker {index} is gone; {}",
            show(&self.loads.available())
        ));
        let new = start(self.options, index)?;
        let (child, channel) = std::mem::replace(&mut self.workers[index], new);
        self.loads.back(index);
        self.leaving.add(child);
        self.waiting
            .extend(channel.into_unacknowledged().into_iter().map(|(_, fd)| fd));
        Ok(())
    }
}
