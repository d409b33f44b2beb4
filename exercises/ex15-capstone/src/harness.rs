//! Given: the command line, the program that the workers run, and what a worker needs for its loop.

#![allow(dead_code, unused_imports)] // The stub uses none of it yet.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::process::{self, Command, ExitCode};
use std::time::{Duration, Instant};

use ch01_fork_ipc::{inherited_channel, leave_signals_to_parent};
use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;
use cli::{Arguments, Options, complain, unexpected};
use nix::poll::PollFd;
use nix::sys::signal::Signal;

pub use crate::http::{Connection, Step};
use crate::solution::{keep_alive, serve};
use crate::worker_io::wait_for_any;
pub use crate::worker_io::{Heard, hear};

const USAGE: &str = "\
Keeps N workers alive, which answer requests and crash, and loses no request.

Usage: PROGRAM [--addr 127.0.0.1] [--port 1337] [--workers N] [--crash-after K]
               [--exec PROGRAM ARG...]
       PROGRAM worker [--crash-after K]

  --addr ADDR             listen on this address
  --port PORT             listen on this port; 0 takes a free one
  --workers N             1 to 1024 workers; as many as there are CPUs, where not given
  --crash-after K         a worker panics after its Kth answer; 1 where not given, 0 is never
  --exec PROGRAM ARG...   run PROGRAM as the workers

  worker                  a child: serves the listener that it is sent (needs a channel)
";

/// How long a worker may drain.
pub const LIMIT: Duration = Duration::from_secs(3);

/// How long workers may take to end, once the parent has sent them SIGTERM.
pub const STOP_LIMIT: Duration = Duration::from_secs(4);

/// The pause after a worker that ended before it was ready. It doubles with each that follows...
pub const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// ...up to this.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What is to be kept alive.
pub struct Plan {
    /// `options.workers` is N, and `options.listen()` listens and says so.
    pub options: Options,
    crash_after: u64,
}

impl Plan {
    /// The command that starts a worker.
    ///
    /// # Errors
    /// When the system cannot tell where this program's file is.
    pub fn command(&self) -> anyhow::Result<Command> {
        let mut command = self.options.worker()?;
        if self.options.exec.is_none() {
            command.arg("--crash-after").arg(self.crash_after.to_string());
        }
        Ok(command)
    }
}

/// The program: the parent, or, with the word `worker`, one of its children.
pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let options = Options::new(&["--addr", "--port", "--workers", "--exec"]);
        let mut plan = Plan { options, crash_after: 1 };
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return worker(arguments),
                "--crash-after" => plan.crash_after = crash_after(&mut arguments)?,
                other => plan.options.take(other, &mut arguments)?,
            }
        }
        keep_alive(&plan)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// A child.
fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut program = Greeter { answers: 0, crash_after: 1 };
    while let Some(word) = arguments.word()? {
        match &*word {
            "--crash-after" => program.crash_after = crash_after(&mut arguments)?,
            other => return Err(unexpected(other)),
        }
    }
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    let channel = HandleChannel::new(unsafe { inherited_channel() }?)?;
    leave_signals_to_parent()?;
    panic::set_hook(Box::new(report_panic));
    serve(channel, SignalPipe::new(&[Signal::SIGTERM])?, program)?;
    Ok(ExitCode::SUCCESS)
}

fn crash_after(arguments: &mut Arguments) -> anyhow::Result<u64> {
    arguments.number("--crash-after", 0, u64::MAX)
}

/// What a worker does with requests: it answers, and after the Kth answer it fails.
pub struct Greeter {
    answers: u64,
    crash_after: u64,
}

impl Greeter {
    /// The text that answers a request.
    pub fn handle(&self) -> String {
        format!("handled by child, pid is {}\n", process::id())
    }

    /// To be called when the kernel has the last byte of an answer. Whether the program has failed.
    pub fn answered(&mut self) -> bool {
        // Around the program, and around nothing else: what is not the program's is as it was.
        catch_unwind(AssertUnwindSafe(|| self.count())).is_err()
    }

    fn count(&mut self) {
        self.answers += 1;
        if self.answers == self.crash_after {
            panic!("on purpose, after answer {} (--crash-after)", self.answers);
        }
    }
}

/// One line for a panic: a backtrace takes longer than a new worker.
fn report_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text =
        text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("something that is no text");
    complain(format_args!("worker {} panicked: {text}", process::id()));
}

/// Blocks until one of these can go on, or until `until`. Which one it is does not matter: nothing
/// here blocks, so you can try all of them.
///
/// # Errors
/// Those of poll(2); none is expected.
pub fn wait(
    channel: Option<&HandleChannel>,
    signals: &SignalPipe,
    listener: Option<&TcpListener>,
    connections: &[Connection],
    until: Option<Instant>,
) -> io::Result<()> {
    let connections =
        connections.iter().map(|it| PollFd::new(it.as_fd(), it.interest()));
    wait_for_any(channel, signals, listener, connections, until)
}

/// Accepts a connection, if somebody waits. Does not block.
pub fn accept(listener: &TcpListener) -> Option<Connection> {
    let (stream, _) = listener.accept().ok()?;
    Connection::new(stream).ok()
}
