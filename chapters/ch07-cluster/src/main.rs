// ANCHOR: top
//! Workers that share a port, each with an event loop.

use std::{
    panic::{self, PanicHookInfo},
    process::{self, ExitCode},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use ch01_fork_ipc::inherited_channel;
use ch03_handles::HandleChannel;
use ch04_events::{SignalPipe, ignore_terminal_signals, survive_parent};
use ch05_restart::{Handler, Request, Response, Worker};
use ch07_cluster::{MAX_CONNECTIONS, Primary, Sharing, serve};
use cli::{Arguments, Options, complain, unexpected, wrong};
use nix::sys::signal::Signal;
// ANCHOR_END: top

// ANCHOR: usage
const USAGE: &str = "\
Workers that share a port in one of three ways. Each has an event loop.

Usage: ch07-cluster [--addr 127.0.0.1] [--port 1337] [--workers N]
                    [--sharing shared|round-robin|reuseport]
                    [--max-connections N] [--poll] [--demo]
       ch07-cluster worker [--max-connections N] [--poll] [--demo] [NAME]

  --addr ADDR             listen on this address
  --port PORT             listen on this port; 0 takes a free one
  --workers N             1 to 1024 workers; by default one for each CPU
  --sharing shared        all workers accept from the same listener
  --sharing round-robin   the primary accepts, and passes connections in turn
  --sharing reuseport     each worker has a listener of its own
  --max-connections N     the most connections of a worker (16384)
  --poll                  the workers of chapter 5, which use poll(2)
  --demo                  /busy/MS, /panic, /abort: a worker fails
  --help                  show this

  worker                  a child (needs a channel)

Signals to the primary:
  SIGHUP    replace the workers one by one
  SIGTTIN   a worker more           SIGTTOU   a worker fewer
  SIGUSR1   print the state of all workers as one line of JSON
  SIGTERM   answer what has come in, and exit; a second time: exit at once
";
// ANCHOR_END: usage

// ANCHOR: main
fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--addr", "--port", "--workers"]);
        let mut settings = Settings::default();
        let mut sharing = Sharing::default();
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return worker(arguments),
                "--sharing" => {
                    let text = arguments.value()?;
                    sharing = text.parse().map_err(|error| {
                        wrong(format_args!("--sharing: {error}"))
                    })?;
                }
                word if settings.take(word, &mut arguments)? => {}
                word => options.take(word, &mut arguments)?,
            }
        }
        if settings.poll && sharing != Sharing::Shared {
            return Err(wrong("--poll works with --sharing shared only"));
        }
        let mut primary = Primary::new(options.listen()?, sharing)
            .arguments(settings.worker_arguments());
        for _ in 0..options.workers {
            primary.fork();
        }
        primary.run()
    })
}
// ANCHOR_END: main

// ANCHOR: settings
/// What the workers are told.
#[derive(Default)]
struct Settings {
    max_connections: Option<usize>,
    poll: bool,
    demo: bool,
}

impl Settings {
    /// Takes a flag that is for the workers. Returns false if it is another one.
    fn take(
        &mut self,
        word: &str,
        arguments: &mut Arguments,
    ) -> anyhow::Result<bool> {
        match word {
            "--max-connections" => {
                let number = arguments.number(word, 1, 1_000_000)?;
                self.max_connections = Some(number);
            }
            "--poll" => self.poll = true,
            "--demo" => self.demo = true,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn worker_arguments(&self) -> Vec<String> {
        let mut arguments = vec!["worker".to_owned()];
        if let Some(number) = self.max_connections {
            arguments.extend(["--max-connections".to_owned(), number.to_string()]);
        }
        arguments.extend(self.poll.then(|| "--poll".to_owned()));
        arguments.extend(self.demo.then(|| "--demo".to_owned()));
        arguments
    }
}
// ANCHOR_END: settings

// ANCHOR: worker
/// A child.
fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (mut settings, mut name) = (Settings::default(), None);
    while let Some(word) = arguments.word()? {
        if settings.take(&word, &mut arguments)? {
            continue;
        } else if name.is_none() && !word.starts_with('-') {
            name = Some(word);
        } else {
            return Err(unexpected(&word));
        }
    }
    let _ = nix::sys::prctl::set_name(c"ch07-cluster");
    panic::set_hook(Box::new(report_panic));
    let greeter = Greeter { demo: settings.demo, pid: process::id() };
    if settings.poll {
        return poll_worker(greeter);
    }
    serve(greeter, settings.max_connections.unwrap_or(MAX_CONNECTIONS))
}

/// Logs a panic in one line, without a backtrace.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let panic = panic.to_string().replace('\n', " ");
    complain(format_args!("worker {} {panic}", process::id()));
}

/// The same program in a worker of chapter 5.
fn poll_worker(greeter: Greeter) -> anyhow::Result<ExitCode> {
    // SAFETY: nothing has started a thread yet, or opened a descriptor.
    let stream = unsafe { inherited_channel() }?;
    ignore_terminal_signals().context("cannot ignore SIGINT")?;
    survive_parent().context("cannot outlive the primary")?;
    let signals =
        SignalPipe::new(&[Signal::SIGTERM]).context("cannot handle SIGTERM")?;
    let channel = HandleChannel::new(stream).context("cannot use the channel")?;
    let code = Worker::new(greeter, channel, signals).run();
    Ok(ExitCode::from(code.context("cannot wait for connections")?))
}
// ANCHOR_END: worker

// ANCHOR: greeter
/// Answers with the process id.
struct Greeter {
    demo: bool,
    /// It is asked for once: getpid(2) is a system call.
    pid: u32,
}

impl Handler for Greeter {
    fn handle(&mut self, request: &Request) -> Response {
        if !matches!(&*request.method, "GET" | "HEAD" | "POST" | "PUT") {
            return Response::new("501 Not Implemented");
        }
        if self.demo {
            self.misbehave(&request.path);
        }
        let text = format!("handled by child, pid is {}\n", self.pid);
        Response::text("200 OK", text)
    }
}

impl Greeter {
    /// `/busy/MILLISECONDS` works for so long, `/panic` panics, `/abort` kills the
    /// worker.
    fn misbehave(&self, path: &str) {
        match path.split_once("/busy/") {
            Some(("", milliseconds)) => {
                let time = milliseconds.parse().unwrap_or(0);
                thread::sleep(Duration::from_millis(time));
            }
            _ if path == "/panic" => panic!("on purpose (--demo)"),
            _ if path == "/abort" => process::abort(),
            _ => {}
        }
    }
}
// ANCHOR_END: greeter
