//! The worker's one loop: it alone accepts and it alone decides to drain, so these two can never
//! race.

mod drain;
mod hear;

use std::{
    io::{self, ErrorKind},
    net::TcpListener,
    os::fd::AsFd,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

use ch02_balance::poll_until;
use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;
use cli::{ACCEPT_PAUSE, complain, reason};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
};
use tiny_http::{Response, ResponseBox, StatusCode};

use crate::{
    Body, Request,
    answer::print,
    connection::{Connection, Step},
};
use drain::{Drain, Why};

/// The most connections at once. Others wait in the listener, where another worker may take them.
const MAX_CONNECTIONS: usize = 4096;

/// Answers to one client in a row. One that sends without pause must not keep the others waiting.
const IN_A_ROW: usize = 16;

// ANCHOR: handler
/// What a worker's program does with requests.
///
/// If either function panics, the worker drains and exits with 1. The request on which
/// [`handle`](Handler::handle) panics is answered with 500.
pub trait Handler {
    /// Makes the answer to `request`.
    fn handle(&mut self, request: &Request) -> ResponseBox;

    /// An answer has been written: the kernel has its last byte. The client may not have it yet.
    fn answered(&mut self) {}
}
// ANCHOR_END: handler

/// A worker of chapter 5.
pub struct Worker<H> {
    handler: H,
    signals: SignalPipe,
    /// `None`: the parent is gone.
    channel: Option<HandleChannel>,
    /// `None`: it has not come yet, or was closed.
    listener: Option<TcpListener>,
    /// accept(2) has failed: not before then again.
    accept_from: Option<Instant>,
    connections: Vec<Connection>,
    /// The parent gives connections that come back from one worker to another.
    parent_adopts: bool,
    /// All workers end: nobody else will take those who wait in the backlog.
    all_end: bool,
    drain: Option<Drain>,
}

/// What poll(2) has found.
struct Found {
    /// For each connection, whether it can go on.
    connections: Vec<bool>,
    listener: bool,
}

impl<H: Handler> Worker<H> {
    /// A worker that gets its listener through `channel`, and SIGTERM through `signals`.
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
            accept_from: None,
            connections: Vec::new(),
            parent_adopts: false,
            all_end: false,
            drain: None,
        }
    }

    // ANCHOR: run
    /// Serves until it is drained. Returns the exit code: 1 after a panic, else 0.
    ///
    /// # Errors
    /// Those of poll(2); none is expected.
    pub fn run(mut self) -> io::Result<u8> {
        loop {
            let found = self.wait()?;
            self.hear_parent();
            self.hear_signals();
            self.serve(&found.connections);
            if found.listener && self.accepts() {
                self.accept_some();
            }
            self.go_on_draining();
            if let Some(code) = self.is_drained() {
                return Ok(code);
            }
        }
    }
    // ANCHOR_END: run

    // ANCHOR: wait
    /// Waits until there is something to do.
    fn wait(&mut self) -> io::Result<Found> {
        let mut polled: Vec<PollFd> = self
            .connections
            .iter()
            .map(|it| PollFd::new(it.as_fd(), it.interest()))
            .collect();
        polled.push(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN));
        if let Some(channel) = &self.channel {
            polled.push(PollFd::new(channel.as_fd(), channel.interest()));
        }
        self.accept_from.take_if(|from| *from <= Instant::now());
        let listens = self.accepts() && self.accept_from.is_none();
        if let Some(listener) = self.listener.as_ref().filter(|_| listens) {
            polled.push(PollFd::new(listener.as_fd(), PollFlags::POLLIN));
        }
        let at_once = self.connections.iter().any(|it| it.more);
        let until =
            if at_once { Some(Instant::now()) } else { self.next_deadline() };
        match poll(&mut polled, poll_until(until)) {
            // A signal: the pipe tells which, at the next turn.
            Err(Errno::EINTR) => {}
            result => drop(result?),
        }
        let ready: Vec<bool> =
            polled.iter().map(|it| it.any().unwrap_or(true)).collect();
        let listener =
            listens && self.listener.is_some() && ready.last() == Some(&true);
        Ok(Found {
            connections: ready[..self.connections.len()].to_vec(),
            listener,
        })
    }
    // ANCHOR_END: wait

    fn next_deadline(&self) -> Option<Instant> {
        let connections = self.connections.iter().map(|it| it.deadline);
        connections
            .chain(self.accept_from)
            .chain(self.drain.as_ref().map(|it| it.until))
            .min()
    }

    fn accepts(&self) -> bool {
        self.drain.is_none() && self.connections.len() < MAX_CONNECTIONS
    }

    // ANCHOR: accept
    /// Accepts one connection, so that the next can go to a worker that is idle; or several, if there
    /// are so many here that each turn of the loop costs more than the connection. Often the request
    /// is here already.
    fn accept_some(&mut self) {
        for _ in 0..1 + self.connections.len() / 64 {
            let Some(mut connection) = self.accept() else { return };
            if self.go_on(&mut connection) {
                self.connections.push(connection);
            }
            if !self.accepts() {
                return;
            }
        }
    }

    /// `None`, where nobody waits.
    fn accept(&mut self) -> Option<Connection> {
        loop {
            match self
                .listener
                .as_ref()?
                .accept()
                .and_then(|(stream, _)| Connection::new(stream))
            {
                Ok(connection) => return Some(connection),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                // This client is gone again (accept(2)). The next one may be there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    complain(format_args!(
                        "cannot accept a connection: {}",
                        reason(&error)
                    ));
                    self.accept_from = Some(Instant::now() + ACCEPT_PAUSE);
                    return None;
                }
            }
        }
    }
    // ANCHOR_END: accept

    /// Goes on with the connections that are `ready`, and those whose time is up.
    fn serve(&mut self, ready: &[bool]) {
        let now = Instant::now();
        // From the end: to take one out moves only those that were seen already.
        for index in (0..ready.len()).rev() {
            let connection = &self.connections[index];
            let ready = ready[index] || connection.more;
            if !ready && now < connection.deadline {
                continue;
            }
            let mut connection = self.connections.swap_remove(index);
            connection.more = false;
            let open = if ready {
                self.go_on(&mut connection)
            } else {
                connection.time_is_up()
            };
            if open {
                self.connections.push(connection);
            }
        }
    }

    // ANCHOR: go_on
    /// Goes on with one connection, as far as that is possible without waiting. False if it is
    /// closed.
    fn go_on(&mut self, connection: &mut Connection) -> bool {
        for _ in 0..2 * IN_A_ROW {
            match connection.step() {
                Step::Answer(request) => self.answer(connection, &request),
                Step::Answered => {
                    if catch_unwind(AssertUnwindSafe(|| self.handler.answered()))
                        .is_err()
                    {
                        self.start_draining(Why::Panicked);
                    }
                }
                Step::Wait => return true,
                Step::Closed => return false,
            }
        }
        connection.more = true;
        true
    }
    // ANCHOR_END: go_on

    // ANCHOR: answer
    fn answer(&mut self, connection: &mut Connection, request: &Request) {
        let handled =
            catch_unwind(AssertUnwindSafe(|| self.handler.handle(request)));
        let response = handled.unwrap_or_else(|_| self.panicked());
        // A draining worker closes its connections, but first answers what their clients have sent.
        let rid = self.drain.is_some() && !connection.has_sent_more();
        let last = rid || !request.keep_alive || request.body == Body::Unread;
        // The response may read its text from anywhere, and panic there.
        let printed =
            catch_unwind(AssertUnwindSafe(|| print(request, response, last)));
        match printed.unwrap_or_else(|_| print(request, self.panicked(), last)) {
            Ok(bytes) => connection.answer(bytes, last),
            Err(error) => {
                complain(format_args!("cannot make an answer: {}", reason(&error)));
                connection.answer(Vec::new(), true);
            }
        }
    }
    // ANCHOR_END: answer

    /// The program has failed. This is the answer to the request that it failed on.
    fn panicked(&mut self) -> ResponseBox {
        self.start_draining(Why::Panicked);
        let text = "500 Internal Server Error\n";
        Response::from_string(text).with_status_code(StatusCode(500)).boxed()
    }
}
