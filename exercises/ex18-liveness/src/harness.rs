//! Given: a parent whose workers give signs of life, and a script that plays both.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io::{self, BufRead as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::{self, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use ch01_fork_ipc::inherited_channel;
use ch02_balance::poll_tokens;
use ch04_events::{Children, Event, Id, SignalPipe};
use cli::{Arguments, Options, say, unexpected, wrong};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;

use crate::solution::Watch;

const USAGE: &str = "\
Usage: ex18-liveness [--workers N] [--limit MS]   workers that are watched
       ex18-liveness script                       reads what happens from standard input

  --workers N   how many workers run; 2 by default
  --limit MS    a worker that gives no sign for so long is killed; 2000 by default

A worker gives a sign eight times in each limit. At SIGUSR1 it is busy for half the limit, and gives no
sign meanwhile.

The lines of a script:

  limit MS         a new watch: it begins at 0 ms
  MS sign WORKER   at MS milliseconds, this worker gives a sign of life
  MS exit WORKER   at MS milliseconds, this worker has exited
  MS ask           at MS milliseconds, ask which workers are overdue, and print that
";

/// A sign of life: a message.
const SIGN: &[u8] = b"\"alive\"\n";

pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--workers"]);
        options.workers = 2;
        let mut limit = 2_000;
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return work(arguments),
                "script" => return script(),
                "--limit" => limit = arguments.number(&word, 80, 3_600_000)?,
                other => options.take(other, &mut arguments)?,
            }
        }
        watch_workers(&options, Duration::from_millis(limit))
    })
}

/// The parent. It runs until SIGTERM or SIGINT.
fn watch_workers(options: &Options, limit: Duration) -> anyhow::Result<ExitCode> {
    let began = Instant::now();
    let mut children = Children::new(&[Signal::SIGTERM, Signal::SIGINT])?;
    let mut watch = Watch::new(limit);
    let start = |children: &mut Children| -> anyhow::Result<()> {
        let mut command = options.worker()?;
        command.arg(limit.as_millis().to_string());
        children.spawn(command);
        Ok(())
    };
    for _ in 0..options.workers {
        start(&mut children)?;
    }
    let mut next_look = began;
    loop {
        let events = children.wait(Some(next_look))?;
        // Whatever happened before this time has been reported: a sign that has
        // arrived while this process did not run is counted before it asks.
        let seen = children.seen();
        let now = seen.saturating_duration_since(began);
        for event in events {
            match event {
                Event::Message(id, ..) => watch.sign(now, id.0 as u32),
                Event::Exit(id, ..) => {
                    watch.exited(id.0 as u32);
                    say(format_args!("worker {} has exited", id.0));
                    start(&mut children)?;
                }
                Event::Signal(_) => return Ok(ExitCode::SUCCESS),
                _ => {}
            }
        }
        if seen < next_look {
            continue;
        }
        next_look = seen + limit / 4;
        for number in watch.overdue(now) {
            let id = Id(u64::from(number));
            let pid = children.pid(id).map_or(0, |pid| pid.as_raw());
            say(format_args!("worker {number} hangs: process {pid} is killed"));
            children.kill(id, Signal::SIGKILL);
        }
    }
}

/// A worker. Its command line is `worker MS`.
fn work(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let limit = arguments.word()?.and_then(|word| word.parse().ok());
    let limit =
        Duration::from_millis(limit.ok_or_else(|| wrong("a worker needs MS"))?);
    if let Some(word) = arguments.word()? {
        return Err(unexpected(&word));
    }
    // SAFETY: nothing has run yet that could have started a thread or opened a
    // descriptor.
    let mut channel = unsafe { inherited_channel() }?;
    let mut signals = SignalPipe::new(&[Signal::SIGUSR1])?;
    let pid = process::id();
    channel.write_all(SIGN)?;
    let mut next_sign = Instant::now() + limit / 8;
    say(format_args!("process {pid} works"));
    loop {
        if Instant::now() >= next_sign {
            channel.write_all(SIGN)?;
            next_sign = Instant::now() + limit / 8;
        }
        let fds = [
            (false, PollFd::new(channel.as_fd(), PollFlags::POLLIN)),
            (true, PollFd::new(signals.as_fd(), PollFlags::POLLIN)),
        ];
        for is_signal in poll_tokens(Vec::from(fds), Some(next_sign))? {
            if !is_signal {
                return Ok(ExitCode::SUCCESS); // the parent has exited
            }
            if !signals.take().is_empty() {
                say(format_args!("process {pid} is busy"));
                thread::sleep(limit / 2);
                say(format_args!("process {pid} works again"));
            }
        }
    }
}

/// Reads a script to the end of standard input. The time is in the script, so
/// nothing waits for it.
fn script() -> anyhow::Result<ExitCode> {
    let mut watch = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let watch = match (&mut watch, &*words) {
            (watch, ["limit", limit]) => {
                *watch = Some(Watch::new(milliseconds(limit)?));
                say(&line);
                continue;
            }
            (Some(watch), _) => watch,
            (None, _) => return Err(wrong("the first line is 'limit MS'")),
        };
        match *words {
            [now, "sign", worker] => {
                watch.sign(milliseconds(now)?, worker.parse()?)
            }
            [_, "exit", worker] => watch.exited(worker.parse()?),
            [now, "ask"] => {
                let overdue = watch.overdue(milliseconds(now)?);
                let words: Vec<String> =
                    overdue.iter().map(ToString::to_string).collect();
                let words = match words.is_empty() {
                    true => "none".to_owned(),
                    false => words.join(" "),
                };
                say(format_args!("{now} overdue: {words}"));
            }
            _ => return Err(wrong(format_args!("not understood: {line}"))),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn milliseconds(word: &str) -> anyhow::Result<Duration> {
    Ok(Duration::from_millis(word.parse()?))
}
