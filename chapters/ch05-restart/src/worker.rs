// ANCHOR: top
//! A worker: one thread, one loop. Only this loop accepts, and only this loop
//! decides to drain: a worker that is about to exit never accepts a connection.

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    os::fd::{AsFd, BorrowedFd},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use ch02_balance::{Received, poll_tokens};
use ch03_handles::{Handle, HandleChannel};
use ch04_events::SignalPipe;
use cli::{ACCEPT_PAUSE, LogLimit, complain, reason};
use nix::poll::{PollFd, PollFlags};
use serde_json::{Value, json};

use crate::{Request, Response, connection::Connection};
// ANCHOR_END: top

// ANCHOR: limits
/// The most connections at once. Further clients wait in the backlog, where another
/// worker may accept them.
const MAX_CONNECTIONS: usize = 4096;

/// How long a worker may drain after a panic or SIGTERM.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);

/// How long a worker may drain when its channel is closed.
const ORPHAN_LIMIT: Duration = Duration::from_secs(1);
// ANCHOR_END: limits

// ANCHOR: handler
/// The program that a worker runs for each request.
///
/// If a method panics, the worker drains and exits with 1. A request on which
/// [`handle`](Handler::handle) panics gets the response 500.
pub trait Handler {
    /// Makes the response to `request`. It blocks the whole worker while it runs.
    fn handle(&mut self, request: &Request) -> Response;

    /// Called after a response was written: the kernel has it, the client may not.
    /// It may be one that [`handle`](Handler::handle) did not make, such as 400.
    fn answered(&mut self) {}

    /// Called for a message from the master, also for the one that comes with the
    /// listener.
    fn on_message(&mut self, _message: &Value) {}
}
// ANCHOR_END: handler

// ANCHOR: fields
/// A worker of chapter 5.
pub struct Worker<H> {
    handler: H,
    signals: SignalPipe,
    /// `None`: it is closed.
    channel: Option<HandleChannel>,
    /// `None`: the listener has not arrived yet, or the worker drains.
    listener: Option<TcpListener>,
    /// accept(2) failed: the listener is left alone until then.
    accept_at: Option<Instant>,
    errors: LogLimit,
    connections: Vec<Connection>,
    drain: Option<Drain>,
}
// ANCHOR_END: fields

// ANCHOR: drain
/// A worker that drains exits when its connections are closed, or at `until`.
struct Drain {
    until: Instant,
    exit_code: u8,
}
// ANCHOR_END: drain

// ANCHOR: token
/// What poll(2) found ready.
#[derive(Clone, Copy)]
enum Token {
    Signals,
    Channel,
    Connection(usize),
    Listener,
}
// ANCHOR_END: token

impl<H: Handler> Worker<H> {
    // ANCHOR: new
    /// A worker. The listener arrives through `channel`, SIGTERM through `signals`.
    pub fn new(
        handler: H,
        channel: HandleChannel,
        signals: SignalPipe,
    ) -> Worker<H> {
        Worker {
            handler,
            signals,
            channel: Some(channel),
            listener: None,
            accept_at: None,
            errors: LogLimit::new(),
            connections: Vec::new(),
            drain: None,
        }
    }
    // ANCHOR_END: new

    // ANCHOR: run
    /// Serves until the worker has drained. Returns the exit code: after a panic 1.
    ///
    /// # Errors
    /// Those of poll(2); none is expected.
    pub fn run(mut self) -> io::Result<u8> {
        loop {
            if let Some(exit_code) = self.turn(None)? {
                return Ok(exit_code);
            }
        }
    }

    /// One turn of the loop: blocks until something is ready, or `until`, and does
    /// it. Returns the exit code once the worker has drained.
    ///
    /// # Errors
    /// Those of poll(2); none is expected.
    pub fn turn(&mut self, until: Option<Instant>) -> io::Result<Option<u8>> {
        // Before poll(2): if this process was stopped meanwhile (SIGSTOP), what
        // has arrived counts before what the clock says.
        let now = Instant::now();
        for token in self.poll(now, until)? {
            match token {
                Token::Signals => self.on_signal(),
                Token::Channel => self.on_channel(),
                Token::Connection(index) => self.serve(index),
                Token::Listener => self.accept(),
            }
        }
        self.connections.retain_mut(|connection| !connection.is_closed(now));
        let drained =
            |drain: &Drain| self.connections.is_empty() || drain.until <= now;
        Ok(self
            .drain
            .as_ref()
            .filter(|drain| drained(drain))
            .map(|drain| drain.exit_code))
    }
    // ANCHOR_END: run

    // ANCHOR: poll
    /// Blocks until something is ready or a deadline passes. The listener is the
    /// last token: when its turn comes, the worker may have begun to drain.
    fn poll(
        &mut self,
        now: Instant,
        until: Option<Instant>,
    ) -> io::Result<Vec<Token>> {
        self.accept_at.take_if(|at| *at <= now);
        let signals = PollFd::new(self.signals.as_fd(), PollFlags::POLLIN);
        let mut polled = vec![(Token::Signals, signals)];
        if let Some(channel) = &self.channel {
            let fd = PollFd::new(channel.as_fd(), channel.interest());
            polled.push((Token::Channel, fd));
        }
        for (index, connection) in self.connections.iter().enumerate() {
            let fd = PollFd::new(connection.as_fd(), connection.interest());
            polled.push((Token::Connection(index), fd));
        }
        if let Some(listener) = self.listener.as_ref().filter(|_| self.has_room()) {
            let fd = PollFd::new(listener.as_fd(), PollFlags::POLLIN);
            polled.push((Token::Listener, fd));
        }
        poll_tokens(polled, self.deadline().into_iter().chain(until).min())
    }

    fn has_room(&self) -> bool {
        self.connections.len() < MAX_CONNECTIONS && self.accept_at.is_none()
    }
    // ANCHOR_END: poll

    // ANCHOR: deadline
    fn deadline(&self) -> Option<Instant> {
        let connections = self.connections.iter().map(Connection::deadline);
        let drain = self.drain.as_ref().map(|drain| drain.until);
        connections.chain(self.accept_at).chain(drain).min()
    }
    // ANCHOR_END: deadline

    // ANCHOR: on_signal
    /// SIGTERM: the master, or a user, asks this worker to drain.
    fn on_signal(&mut self) {
        if !self.signals.take().is_empty() {
            self.start_draining(DRAIN_LIMIT, 0);
        }
    }
    // ANCHOR_END: on_signal

    // ANCHOR: on_channel
    /// Receives the listener, and notices when the master is gone.
    fn on_channel(&mut self) {
        let Some(channel) = &mut self.channel else { return };
        for received in channel.receive() {
            match received {
                Received::Handle(message, Handle::TcpListener(listener)) => {
                    self.handler.on_message(&message);
                    self.start_accepting(listener);
                }
                Received::Ignored(why) => {
                    self.errors.complain(Instant::now(), why);
                }
                Received::Closed(error) => {
                    if let Some(error) = error {
                        complain(error);
                    }
                    self.channel = None;
                    return self.start_draining(ORPHAN_LIMIT, 0);
                }
                Received::Message(message) => self.handler.on_message(&message),
                Received::Handle(..)
                | Received::Internal(_)
                | Received::Acked
                | Received::Returned(..) => {}
            }
        }
    }
    // ANCHOR_END: on_channel

    // ANCHOR: start_accepting
    fn start_accepting(&mut self, listener: TcpListener) {
        // poll(2) wakes every worker for a connection, and one of them gets it. The
        // others must not block in accept(2).
        match listener.set_nonblocking(true) {
            Ok(()) if self.drain.is_none() => self.listener = Some(listener),
            Ok(()) => {}
            Err(error) => {
                complain(format_args!(
                    "cannot use the listener: {}",
                    reason(&error)
                ));
            }
        }
    }
    // ANCHOR_END: start_accepting

    // ANCHOR: accept
    /// Accepts one connection: the next one may go to a worker that has less to do.
    /// With a thousand connections, poll(2) costs more than an accept: then a few.
    fn accept(&mut self) {
        for _ in 0..=self.connections.len() / 64 {
            let Some(listener) = self.listener.as_ref().filter(|_| self.has_room())
            else {
                return;
            };
            match listener.accept().and_then(|(stream, _)| Connection::new(stream))
            {
                Ok(connection) => {
                    self.connections.push(connection);
                    // Often the request is there already.
                    self.serve(self.connections.len() - 1);
                }
                // Another worker was faster.
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The client is gone (accept(2)).
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => return self.pause_accepting(&error),
            }
        }
    }

    /// No descriptor is free. The connection stays in the backlog: without a pause,
    /// poll(2) would report it at once, again and again.
    fn pause_accepting(&mut self, error: &io::Error) {
        let now = Instant::now();
        let why = format!("cannot accept a connection: {}", reason(error));
        self.errors.complain(now, why);
        self.accept_at = Some(now + ACCEPT_PAUSE);
    }
    // ANCHOR_END: accept

    // ANCHOR: serve
    /// Continues with a connection, as far as that is possible without blocking.
    fn serve(&mut self, index: usize) {
        if let Some(request) = self.connections[index].read_request() {
            let response = self.handle(&request);
            self.connections[index].respond(&response);
        }
        if self.connections[index].write_response() {
            let answered = AssertUnwindSafe(|| self.handler.answered());
            if catch_unwind(answered).is_err() {
                self.start_draining(DRAIN_LIMIT, 1);
            }
        }
        self.connections[index].discard_input();
    }
    // ANCHOR_END: serve

    // ANCHOR: handle
    /// Calls the handler. A panic leaves it in an unknown state, so the worker
    /// drains; until then the handler answers the open connections.
    fn handle(&mut self, request: &Request) -> Response {
        let handle = AssertUnwindSafe(|| self.handler.handle(request));
        catch_unwind(handle).unwrap_or_else(|_| {
            self.start_draining(DRAIN_LIMIT, 1);
            Response::new("500 Internal Server Error")
        })
    }
    // ANCHOR_END: handle

    // ANCHOR: handler_and_send
    /// The program that this worker runs.
    pub fn handler(&self) -> &H {
        &self.handler
    }

    /// The open connections, and whether the worker drains.
    pub fn connections(&self) -> (impl Iterator<Item = BorrowedFd<'_>>, bool) {
        (self.connections.iter().map(Connection::as_fd), self.drain.is_some())
    }

    /// Sends a message to the master. Does nothing if the channel is closed.
    pub fn send(&mut self, message: &Value) {
        if let Some(channel) = &mut self.channel {
            // If it cannot be sent, the master does without it.
            let _ = channel.send(message);
        }
    }
    // ANCHOR_END: handler_and_send

    // ANCHOR: start_draining
    /// Stops accepting, and asks the master for a replacement. The first reason
    /// sets the exit code; a later one can only bring the deadline closer.
    fn start_draining(&mut self, limit: Duration, exit_code: u8) {
        let until = Instant::now() + limit;
        if let Some(drain) = &mut self.drain {
            drain.until = drain.until.min(until);
            return;
        }
        self.drain = Some(Drain { until, exit_code });
        self.listener = None;
        // If it cannot be sent, the master replaces this worker when it exits.
        self.send(&json!({"act": "suicide"}));
    }
    // ANCHOR_END: start_draining
}
