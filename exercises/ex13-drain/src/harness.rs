//! Given: all that a worker needs for its loop, and nothing of the loop.

#![allow(dead_code, unused_imports)] // The stub uses none of it yet.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use ch01_fork_ipc::{inherited_channel, leave_signals_to_parent};
use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;
use cli::{unexpected, wrong};
use nix::poll::{PollFd, PollFlags};
use nix::sys::signal::Signal;

use crate::solution::serve;
use crate::worker_io::wait_for_any;
pub use crate::worker_io::{Heard, hear};

const USAGE: &str = "\
A worker that answers one request on each connection, and can be drained.

Usage: PROGRAM worker

It is started by a parent, which gives it a channel and sends it the listener. Chapter 5's master is
such a parent:

  cargo run -p ch05-restart -- --workers 1 --exec target/debug/ex13-drain worker
";

/// How long a worker may drain.
pub const LIMIT: Duration = Duration::from_secs(2);

/// The program.
pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        match arguments.word()?.as_deref() {
            Some("worker") => {}
            Some(other) => return Err(unexpected(other)),
            None => return Err(wrong("there is nothing to do but 'worker'")),
        }
        // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
        let channel = HandleChannel::new(unsafe { inherited_channel() }?)?;
        leave_signals_to_parent()?;
        Ok(ExitCode::from(serve(channel, SignalPipe::new(&[Signal::SIGTERM])?)?))
    })
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
        connections.iter().map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN));
    wait_for_any(channel, signals, listener, connections, until)
}

/// Accepts a connection, if somebody waits. Does not block.
pub fn accept(listener: &TcpListener) -> Option<Connection> {
    let (stream, _) = listener.accept().ok()?;
    stream.set_nonblocking(true).ok()?;
    Some(Connection { stream, request: Vec::new(), answered: false })
}

/// A client with one request.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    answered: bool,
}

/// What has become of a connection.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// It is open, and waits: for more of the request, or, once it is answered, for its client to
    /// close.
    Waits,
    /// The same; but behind the answer the worker's program has failed. It was asked for `/crash`.
    Failed,
    /// It is done. Drop it.
    Closed,
}

impl Connection {
    /// Reads what has come; answers, when the request is whole; notices when the client has gone. Does
    /// not block.
    pub fn step(&mut self) -> Step {
        match self.go_on() {
            Ok(step) => step,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Step::Waits,
            Err(_) => Step::Closed,
        }
    }

    fn go_on(&mut self) -> io::Result<Step> {
        let mut bytes = [0; 1024];
        loop {
            let read = self.stream.read(&mut bytes)?;
            if read == 0 {
                return Ok(Step::Closed);
            }
            if self.answered {
                continue;
            }
            self.request.extend_from_slice(&bytes[..read]);
            if self.request.windows(4).any(|end| end == b"\r\n\r\n") {
                self.answer()?;
                if self.request.starts_with(b"GET /crash ") {
                    return Ok(Step::Failed);
                }
            }
        }
    }

    fn answer(&mut self) -> io::Result<()> {
        let text = format!("handled by child, pid is {}\n", process::id());
        // So short an answer always fits into an empty socket.
        write!(
            self.stream,
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        )?;
        // The client closes first: to close with something unread would reset the connection, and the
        // answer might be lost on its way.
        self.stream.shutdown(Shutdown::Write)?;
        self.answered = true;
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
