// ANCHOR: head
//! The parent: sends the listener to every worker, closes its own copy, and
//! watches.

use std::{
    io,
    net::TcpListener,
    os::fd::AsFd,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::{Context as _, bail};
use ch01_fork_ipc::Child;
use ch02_balance::{Received, poll_tokens};
use ch03_handles::{Handle, HandleChannel};
use cli::{LogLimit, complain, log, reason};
use nix::{poll::PollFd, sys::signal::Signal};
use serde_json::Value;
// ANCHOR_END: head

// ANCHOR: worker
/// A child and the channel to it.
struct Worker {
    child: Child,
    channel: HandleChannel,
    /// It has acknowledged the listener.
    is_ready: bool,
    /// Limits on the lines in our log that its messages and its faults cause.
    message_limit: LogLimit,
    fault_limit: LogLimit,
}
// ANCHOR_END: worker

// ANCHOR: parent
/// The parent of chapter 3.
pub struct Parent {
    /// `None` once every worker has its own copy.
    listener: Option<TcpListener>,
    /// `None` once it has died.
    workers: Vec<Option<Worker>>,
}
// ANCHOR_END: parent

impl Parent {
    // ANCHOR: start
    /// Starts `count` workers and sends `listener` to each.
    pub fn start(
        listener: TcpListener,
        count: usize,
        command: impl Fn() -> anyhow::Result<Command>,
    ) -> anyhow::Result<Parent> {
        // Node workers wait with epoll(7), and one connection wakes all of them. One
        // worker accepts it. In the others accept(2) must fail, and not block. Our
        // own workers clear the flag.
        listener.set_nonblocking(true).context("cannot set O_NONBLOCK")?;
        let mut workers = Vec::new();
        for _ in 0..count {
            workers.push(Some(Worker::start(command()?, &listener)?));
        }
        Ok(Parent { listener: Some(listener), workers })
    }
    // ANCHOR_END: start

    // ANCHOR: run
    /// Watches the workers until none is left. It cannot replace one: it has no
    /// listener any more.
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        while self.workers.iter().any(Option::is_some) {
            for index in self.poll().context("cannot wait for the workers")? {
                self.receive(index);
            }
            self.close_listener_once_all_are_ready();
        }
        bail!("no worker is left, and this chapter does not replace them");
    }
    // ANCHOR_END: run

    // ANCHOR: poll
    /// Blocks until a worker has sent something, or has closed its channel.
    fn poll(&self) -> io::Result<Vec<usize>> {
        let mut polled = Vec::new();
        for (index, worker) in self.workers.iter().enumerate() {
            let Some(Worker { channel, .. }) = worker else { continue };
            let fd = PollFd::new(channel.as_fd(), channel.interest());
            polled.push((index, fd));
        }
        poll_tokens(polled, None)
    }
    // ANCHOR_END: poll

    // ANCHOR: receive
    /// Reads what a worker has sent.
    fn receive(&mut self, index: usize) {
        let Some(worker) = &mut self.workers[index] else { return };
        let (pid, now) = (worker.child.pid(), Instant::now());
        let mut is_usable = true;
        for received in worker.channel.receive() {
            match received {
                Received::Acked => {
                    worker.is_ready = true;
                    log(format_args!("worker {pid} is ready"));
                }
                Received::Message(message) => {
                    worker
                        .message_limit
                        .log(now, format_args!("worker {pid} says {message}"));
                }
                // A worker sends us no handles. If it does, they are closed here.
                Received::Handle(..) | Received::Internal(_) => {}
                Received::Ignored(why) => {
                    let line = format!("worker {pid}: {why}");
                    worker.fault_limit.complain(now, line);
                }
                Received::Returned(..) => {
                    complain(format_args!("worker {pid} cannot take the listener"));
                    is_usable = false;
                }
                Received::Closed(error) => {
                    if let Some(error) = error {
                        complain(format_args!("worker {pid}: {error}"));
                    }
                    is_usable = false;
                }
            }
        }
        if !is_usable {
            self.workers[index].take().into_iter().for_each(Worker::end);
        }
    }
    // ANCHOR_END: receive

    // ANCHOR: close
    /// Closes our copy of the listener. If we kept it, the socket would stay open
    /// without a worker: clients could connect, and no process would accept.
    fn close_listener_once_all_are_ready(&mut self) {
        let mut running = self.workers.iter().flatten().peekable();
        if self.listener.is_some()
            && running.peek().is_some()
            && running.all(|worker| worker.is_ready)
        {
            self.listener = None;
            log("every worker has the listener; the parent has closed its own");
        }
    }
    // ANCHOR_END: close
}

impl Worker {
    // ANCHOR: start_worker
    /// Starts a worker and sends it a copy of the listener.
    fn start(command: Command, listener: &TcpListener) -> anyhow::Result<Worker> {
        let program = command.get_program().to_string_lossy().into_owned();
        let (child, stream) = Child::spawn(command)
            .with_context(|| format!("cannot start {program}"))?;
        log(format_args!("worker {} started", child.pid()));
        let mut channel =
            HandleChannel::new(stream).context("cannot use the channel")?;
        let copy = listener.try_clone().context("cannot copy the listener")?;
        channel
            .send_handle(Value::from("server"), Handle::TcpListener(copy))
            .map_err(|not_sent| not_sent.error)
            .context("cannot send the listener")?;
        Ok(Worker {
            child,
            channel,
            is_ready: false,
            message_limit: LogLimit::new(),
            fault_limit: LogLimit::new(),
        })
    }
    // ANCHOR_END: start_worker

    // ANCHOR: end
    /// Kills the worker, if it still runs, and reaps it. Its channel has ended, so it
    /// is dead or of no use.
    fn end(mut self) {
        let _ = self.child.kill(Signal::SIGKILL);
        let pid = self.child.pid();
        match self.child.wait() {
            Ok(status) => {
                log(format_args!("worker {pid} {status}; it is not replaced"))
            }
            Err(error) => {
                complain(format_args!("cannot wait for {pid}: {}", reason(&error)));
            }
        }
    }
    // ANCHOR_END: end
}
