//! The parent: gives the listener to every worker, closes its own, and only watches from then on.

use std::{net::TcpListener, os::fd::AsFd, process::ExitCode};

use anyhow::{Context as _, bail};
use ch01_fork_ipc::{Child, RecvError};
use ch02_balance::{Leaving, poll_until};
use ch03_handles::{Delivery, Handle, HandleChannel};
use cli::{Options, complain, log, reason};
use nix::{
    errno::Errno,
    poll::{PollFd, poll},
};
use serde_json::Value;

/// A worker that has its channel still.
struct Worker {
    child: Child,
    channel: HandleChannel,
    ready: bool,
}

// ANCHOR: share_listener
/// The parent of chapter 3. It ends when it is told to, by a signal; its workers see that and
/// follow. It also ends when no worker is left: it has no listener any more to give to others.
pub fn share_listener(options: &Options) -> anyhow::Result<ExitCode> {
    let listener = options.listen()?;
    // For workers in Node: they all wake for one connection, and those that come too late must not
    // wait in accept(2). Ours wait nowhere else, and switch it off again.
    listener.set_nonblocking(true)?;
    let mut workers = Vec::new();
    for _ in 0..options.workers {
        workers.push(start(options, &listener)?);
    }
    let mut listener = Some(listener);
    let mut leaving = Leaving::default();
    loop {
        workers = workers
            .into_iter()
            .filter_map(|worker| hear(worker, &mut leaving))
            .collect();
        for (pid, ended) in leaving.ended() {
            match ended {
                Ok(ended) => {
                    log(format_args!("worker {pid} {ended}; nobody replaces it"))
                }
                Err(error) => complain(format_args!(
                    "cannot wait for {pid}: {}",
                    reason(&error)
                )),
            }
        }
        if workers.is_empty() && leaving.wakes_at().is_none() {
            bail!("no worker is left, and this chapter does not replace them");
        }
        let ready =
            !workers.is_empty() && workers.iter().all(|worker| worker.ready);
        if listener.is_some() && ready {
            // A listening socket closes when its last copy does, and the workers have theirs.
            listener = None;
            log("every worker has the listener; the parent has closed its own");
        }
        wait(&workers, &leaving).context("cannot wait for the workers")?;
    }
}
// ANCHOR_END: share_listener

// ANCHOR: start
/// Starts a worker and sends it the listener.
fn start(options: &Options, listener: &TcpListener) -> anyhow::Result<Worker> {
    let command = options.worker()?;
    let program = command.get_program().to_string_lossy().into_owned();
    let (child, stream) =
        Child::spawn(command).with_context(|| format!("cannot start {program}"))?;
    let mut channel = HandleChannel::new(stream)?;
    let copy = listener.try_clone().context("cannot copy the listener")?;
    let sent =
        channel.send_handle(Value::from("server"), Handle::TcpListener(copy));
    sent.map_err(|not_passed| not_passed.why)
        .context("cannot send the listener")?;
    log(format_args!("worker {} started", child.pid()));
    Ok(Worker { child, channel, ready: false })
}
// ANCHOR_END: start

/// Reads all that a worker has sent. One whose channel has ended is on its way out.
fn hear(mut worker: Worker, leaving: &mut Leaving) -> Option<Worker> {
    let pid = worker.child.pid();
    loop {
        match worker.channel.recv() {
            Ok(Some(Delivery::Acked)) => {
                worker.ready = true;
                log(format_args!("worker {pid} is ready"));
            }
            Ok(Some(Delivery::Refused(..))) => {
                complain(format_args!("worker {pid} cannot take the listener"));
                break;
            }
            Ok(Some(Delivery::Message(received))) => {
                log(format_args!("worker {pid} says {}", received.message));
            }
            Ok(Some(
                Delivery::Wrong(..) | Delivery::Missing | Delivery::Internal,
            )) => {}
            Err(error) if error.would_block() => return Some(worker),
            Err(error @ RecvError::Json(_)) => {
                complain(format_args!("worker {pid}: {error}"))
            }
            Ok(None) => break,
            Err(error) => {
                complain(format_args!("worker {pid}: {error}"));
                break;
            }
        }
    }
    leaving.add(worker.child);
    None
}

fn wait(workers: &[Worker], leaving: &Leaving) -> Result<(), Errno> {
    let polled = workers.iter().map(|worker| {
        PollFd::new(worker.channel.as_fd(), worker.channel.interest())
    });
    match poll(&mut polled.collect::<Vec<_>>(), poll_until(leaving.wakes_at())) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}
