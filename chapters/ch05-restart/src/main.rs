// ANCHOR: top
//! A master that keeps N workers alive, and the workers.

use std::{
    panic::{self, PanicHookInfo},
    process::{self, ExitCode},
};

use anyhow::Context as _;
use ch01_fork_ipc::inherited_channel;
use ch03_handles::HandleChannel;
use ch04_events::{Children, SignalPipe, ignore_terminal_signals, survive_parent};
use ch05_restart::{Handler, Master, Request, Response, Supervisor, Worker};
use cli::{Arguments, Options, unexpected};
use nix::sys::signal::Signal;
// ANCHOR_END: top

// ANCHOR: usage
const USAGE: &str = "\
Keeps N workers alive, which answer requests and crash, and loses no request.

Usage: ch05-restart [--addr 127.0.0.1] [--port 1337] [--workers N] [--crash-after N]
                    [--exec PROGRAM ARG...]
       ch05-restart worker [--crash-after N] [NAME]

  --addr ADDR             listen on this address
  --port PORT             listen on this port; 0 takes a free one
  --workers N             1 to 1024 workers; by default one for each CPU
  --crash-after N         a worker panics after its Nth response (1); 0 is never
  --exec PROGRAM ARG...   run PROGRAM as the workers
  --help                  show this

  worker                  a child: serves the listener that it is sent (needs a channel)
";
// ANCHOR_END: usage

// ANCHOR: main
fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options =
            Options::new(&["--addr", "--port", "--workers", "--exec"]);
        let mut crash_after = 1;
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return worker(arguments),
                "--crash-after" => {
                    crash_after = arguments.number("--crash-after", 0, u64::MAX)?;
                }
                other => options.take(other, &mut arguments)?,
            }
        }
        master(options, crash_after)
    })
}
// ANCHOR_END: main

// ANCHOR: master
/// The parent.
fn master(options: Options, crash_after: u64) -> anyhow::Result<ExitCode> {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    let children = Children::new(&signals).context("cannot handle signals")?;
    let listener = options.listen()?;
    // Our own worker handles SIGTERM. Another program may die of it at once.
    let supervisor =
        Supervisor::new(options.workers).disconnect_first(options.exec.is_some());
    let worker = move || {
        let mut command = options.worker()?;
        if options.exec.is_none() {
            command.arg("--crash-after").arg(crash_after.to_string());
        }
        Ok(command)
    };
    Master::new(children, supervisor, listener, worker).run()
}
// ANCHOR_END: master

// ANCHOR: worker
/// A child.
fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (mut crash_after, mut name) = (1, None);
    while let Some(word) = arguments.word()? {
        match &*word {
            "--crash-after" => {
                crash_after = arguments.number("--crash-after", 0, u64::MAX)?;
            }
            _ if name.is_none() && !word.starts_with('-') => name = Some(word),
            _ => return Err(unexpected(&word)),
        }
    }
    // SAFETY: nothing has started a thread yet, or opened a descriptor.
    let stream = unsafe { inherited_channel() }?;
    ignore_terminal_signals().context("cannot ignore SIGINT")?;
    survive_parent().context("cannot outlive the master")?;
    panic::set_hook(Box::new(report_panic));
    let signals =
        SignalPipe::new(&[Signal::SIGTERM]).context("cannot handle SIGTERM")?;
    let channel = HandleChannel::new(stream).context("cannot use the channel")?;
    let greeter = Greeter { answers: 0, crash_after };
    let code = Worker::new(greeter, channel, signals).run();
    Ok(ExitCode::from(code.context("cannot wait for connections")?))
}
// ANCHOR_END: worker

// ANCHOR: report_panic
/// Logs a panic in one line. The default hook can print a backtrace as well, which
/// takes longer than to replace the worker.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let panic = panic.to_string().replace('\n', " ");
    cli::complain(format_args!("worker {} {panic}", process::id()));
}
// ANCHOR_END: report_panic

// ANCHOR: greeter
/// Answers, and then panics: a bug that shows only afterwards.
struct Greeter {
    answers: u64,
    crash_after: u64,
}

impl Handler for Greeter {
    fn handle(&mut self, _request: &Request) -> Response {
        let text = format!("handled by child, pid is {}\n", process::id());
        Response::text("200 OK", text)
    }

    fn answered(&mut self) {
        self.answers += 1;
        if self.answers == self.crash_after {
            panic!("on purpose, after answer {} (--crash-after)", self.answers);
        }
    }
}
// ANCHOR_END: greeter
