// ANCHOR: top
//! One connection: one request, one response, and a close that loses no byte of it.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::poll::PollFlags;

use crate::{Request, Response, request::MAX_HEAD};
// ANCHOR_END: top

// ANCHOR: limits
/// How long a client may take to send its request, or to read the response.
const CLIENT_LIMIT: Duration = Duration::from_secs(10);

/// After the response: how long a client may be silent until we close…
const SILENCE_LIMIT: Duration = Duration::from_secs(2);

/// …how long it may go on sending…
const LINGER_LIMIT: Duration = Duration::from_secs(10);

/// …and how much: 256 MiB. A client that sends without end must not keep us busy.
const LINGER_BYTES: usize = 256 << 20;

/// Reads in a row from a connection that lingers. Then it is the others' turn.
const READS_IN_A_ROW: usize = 16;
// ANCHOR_END: limits

// ANCHOR: fields
/// A connection. None of its methods blocks.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    state: State,
    /// The part of the request that has arrived.
    input: Vec<u8>,
    /// The part of the response that the kernel has not taken yet.
    output: Vec<u8>,
    /// When the connection is closed, if the client does nothing.
    deadline: Instant,
}
// ANCHOR_END: fields

// ANCHOR: state
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The request is not complete.
    Reading,
    /// The response is not written.
    Writing,
    /// The response is written. What the client still sends is read and discarded,
    /// until `end` and up to `bytes`: close(2) with unread input resets the
    /// connection, and that can destroy the response (RFC 9112, 9.6).
    Lingering { end: Instant, bytes: usize },
    /// Nothing more happens here.
    Closed,
}
// ANCHOR_END: state

impl Connection {
    // ANCHOR: new
    /// A connection whose client has 10 s to send its request.
    ///
    /// # Errors
    /// Those of fcntl(2): the stream is made non-blocking.
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        Ok(Connection {
            stream,
            state: State::Reading,
            input: Vec::new(),
            output: Vec::new(),
            deadline: Instant::now() + CLIENT_LIMIT,
        })
    }
    // ANCHOR_END: new

    // ANCHOR: poll
    /// What to wait for in poll(2).
    pub fn interest(&self) -> PollFlags {
        match self.state {
            State::Writing => PollFlags::POLLOUT,
            _ => PollFlags::POLLIN,
        }
    }

    /// When the connection is closed, if the client does nothing.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Whether the connection can be dropped at `now`. If the time for its request
    /// is over, and a part has arrived, the client gets the response 408 before that.
    pub fn is_closed(&mut self, now: Instant) -> bool {
        let is_late = self.deadline <= now;
        if is_late && self.state == State::Reading && !self.input.is_empty() {
            // It has room for this. What has arrived was read, so close(2) sends no
            // reset: there is no need to linger.
            self.respond(&Response::new("408 Request Timeout"));
            self.write_response();
        }
        self.state == State::Closed || is_late
    }
    // ANCHOR_END: poll

    // ANCHOR: read_request
    /// Reads from the client. Returns its request once, as soon as that is
    /// complete. A request that is not acceptable gets its response here.
    pub fn read_request(&mut self) -> Option<Request> {
        while self.state == State::Reading {
            let mut bytes = [0; MAX_HEAD];
            match self.stream.read(&mut bytes) {
                Ok(0) => self.state = State::Closed,
                Ok(length) => self.input.extend_from_slice(&bytes[..length]),
                Err(error) => {
                    self.failed(&error);
                    return None;
                }
            }
            match Request::parse(&self.input) {
                Ok(Some(request)) => return Some(request),
                Ok(None) => {}
                Err(response) => self.respond(&response),
            }
        }
        None
    }
    // ANCHOR_END: read_request

    // ANCHOR: respond
    /// Sets the response. From now on
    /// [`write_response`](Connection::write_response) writes it.
    pub fn respond(&mut self, response: &Response) {
        // No response to HEAD has a body, not even to a malformed one.
        let head_only = self.input.trim_ascii_start().starts_with(b"HEAD ");
        self.input = Vec::new();
        self.output = response.print(head_only);
        self.state = State::Writing;
        self.deadline = Instant::now() + CLIENT_LIMIT;
    }
    // ANCHOR_END: respond

    // ANCHOR: write_response
    /// Writes as much of the response as the kernel takes. Returns true once: when
    /// it has all.
    pub fn write_response(&mut self) -> bool {
        while self.state == State::Writing {
            match self.stream.write(&self.output) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) => {
                    self.failed(&error);
                    return false;
                }
            }
            self.deadline = Instant::now() + CLIENT_LIMIT;
            if self.output.is_empty() {
                self.linger();
                return true;
            }
        }
        false
    }
    // ANCHOR_END: write_response

    // ANCHOR: linger
    /// Closes our side, so that the client sees the end of the response.
    fn linger(&mut self) {
        let now = Instant::now();
        self.deadline = now + SILENCE_LIMIT;
        self.state = match self.stream.shutdown(Shutdown::Write) {
            Ok(()) => {
                State::Lingering { end: now + LINGER_LIMIT, bytes: LINGER_BYTES }
            }
            Err(_) => State::Closed,
        };
    }
    // ANCHOR_END: linger

    // ANCHOR: discard_input
    /// Discards what the client sends after its request: a part, if it is much.
    pub fn discard_input(&mut self) {
        for _ in 0..READS_IN_A_ROW {
            let State::Lingering { end, bytes } = self.state else { return };
            match self.stream.read(&mut [0; MAX_HEAD]) {
                Ok(length) if 0 < length && length < bytes => {
                    self.state = State::Lingering { end, bytes: bytes - length };
                    self.deadline = end.min(Instant::now() + SILENCE_LIMIT);
                }
                Ok(_) => self.state = State::Closed,
                Err(error) => return self.failed(&error),
            }
        }
    }
    // ANCHOR_END: discard_input

    // ANCHOR: failed
    /// A read or write failed. If it would block, poll(2) tells when to retry.
    fn failed(&mut self, error: &io::Error) {
        if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) {
            self.state = State::Closed;
        }
    }
    // ANCHOR_END: failed
}

// ANCHOR: as_fd
impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
// ANCHOR_END: as_fd
