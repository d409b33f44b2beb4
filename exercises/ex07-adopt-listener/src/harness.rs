//! Given: a worker that calls your function, and a parent that sends listeners.

use std::net::TcpListener;
use std::os::fd::AsFd;
use std::process::{Command, ExitCode, id};
use std::{env, iter};

use anyhow::Context as _;
use ch01_fork_ipc::{Child, inherited_channel};
use ch02_balance::{FdChannel, Received, poll_tokens};
use nix::poll::PollFd;
use serde_json::json;

use crate::solution::serve;

const USAGE: &str = "\
Usage: ex07-adopt-listener           listens on the ports 1337 and 1338, and has two workers serve both
       ex07-adopt-listener worker    a worker: serves the listeners that it receives (needs a channel)
";

/// The listeners of the parent.
const LISTENERS: [(&str, &str); 2] =
    [("front", "127.0.0.1:1337"), ("admin", "127.0.0.1:1338")];

pub fn run() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let result = match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => start_workers(),
        ["worker"] => work(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        // The process exits here, and all of its threads with it.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("process {}: {error:#}", id());
            ExitCode::FAILURE
        }
    }
}

fn work() -> anyhow::Result<()> {
    // SAFETY: no thread has been started yet, and no descriptor opened.
    serve(FdChannel::new(unsafe { inherited_channel() }?, 1)?)
}

/// The parent. It runs until its workers have exited, or a signal ends it and them.
fn start_workers() -> anyhow::Result<()> {
    let mut listeners = Vec::new();
    for (name, address) in LISTENERS {
        let listener = TcpListener::bind(address)
            .with_context(|| format!("cannot listen on {address}"))?;
        println!("{name}: http://{address}");
        listeners.push((name, listener));
    }
    let workers = iter::repeat_with(|| start_worker(&listeners)).take(2);
    let mut channels = workers.collect::<anyhow::Result<Vec<FdChannel>>>()?;
    drop(listeners);
    while !channels.is_empty() {
        let fds = channels.iter().map(|it| PollFd::new(it.as_fd(), it.interest()));
        poll_tokens(fds.map(|fd| ((), fd)).collect(), None)?;
        channels.retain_mut(|channel| {
            let received = channel.receive();
            !received.iter().any(|it| matches!(it, Received::Closed(_)))
        });
    }
    println!("both workers have exited");
    Ok(())
}

/// Starts a worker and sends it all listeners.
fn start_worker(listeners: &[(&str, TcpListener)]) -> anyhow::Result<FdChannel> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("worker");
    let (child, stream) = Child::spawn(command)?;
    println!("worker {}", child.pid());
    let mut channel = FdChannel::new(stream, 1)?;
    for (name, listener) in listeners {
        let copy = listener.try_clone()?.into();
        let sent = channel.send_handle("net.Server", json!({"serve": name}), copy);
        sent.map_err(|not_sent| not_sent.error)?;
    }
    Ok(channel)
}
