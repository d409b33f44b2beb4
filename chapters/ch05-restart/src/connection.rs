//! One client: its requests, one after another, and a proper end.

mod state;

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use nix::poll::PollFlags;

use state::State;
pub(crate) use state::Step;

use crate::{BadRequest, Body, Request, answer::print_error, request::MAX_HEAD};

/// How long a client may take: for its first byte, for a whole head, between two pieces of a body, and
/// to read more of an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to close, after the last answer.
const LINGER: Duration = Duration::from_secs(2);

/// Reads in a row. A client that sends without pause must not keep the others waiting.
const IN_A_ROW: usize = 16;

/// A connection. It never blocks.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    state: State,
    /// What has come and was not looked at yet.
    input: Vec<u8>,
    /// What is to be written, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// When it is closed if nothing happens.
    pub deadline: Instant,
    /// It can go on without waiting for poll(2).
    pub more: bool,
}

impl Connection {
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        // Answers are written whole. None should wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        Ok(Connection {
            stream,
            state: State::Head,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            deadline: Instant::now() + READ_TIMEOUT,
            more: false,
        })
    }

    /// What poll(2) should look for.
    pub fn interest(&self) -> PollFlags {
        match self.state {
            State::Answer { .. } | State::Refusal => PollFlags::POLLOUT,
            _ => PollFlags::POLLIN,
        }
    }

    // ANCHOR: step
    /// Goes on, as far as that is possible without waiting.
    pub fn step(&mut self) -> Step {
        let result = match self.state {
            State::Head => self.read_head(),
            State::Body(..) => self.read_body(),
            State::Answer { .. } | State::Refusal => self.write_answer(),
            State::Linger => self.linger(),
        };
        match result {
            Ok(step) => step,
            Err(error) if is_nothing(&error) => Step::Wait,
            // Whatever it is, this client is gone.
            Err(_) => Step::Closed,
        }
    }
    // ANCHOR_END: step

    /// The answer to the last [`Step::Answer`]. With `close`, it is the last on this connection.
    pub fn answer(&mut self, bytes: Vec<u8>, close: bool) {
        (self.output, self.written) = (bytes, 0);
        self.state = State::Answer { close };
        self.deadline = Instant::now() + READ_TIMEOUT;
    }

    // ANCHOR: is_idle
    /// Whether nothing is asked or answered here now.
    pub fn is_idle(&mut self) -> bool {
        if !matches!(self.state, State::Head) || !self.input.is_empty() {
            return false;
        }
        self.more |= self.has_sent_more();
        !self.more
    }
    // ANCHOR_END: is_idle

    /// The socket, to give it to another. Nothing that has come through it may be here.
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    // ANCHOR: has_sent_more
    /// Whether the client has sent more than the request that is being answered.
    pub fn has_sent_more(&mut self) -> bool {
        if self.input.is_empty() {
            let _ = self.fill();
        }
        // Some end a body with an empty line, which belongs to nothing (RFC 9112, 2.2).
        self.input.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }
    // ANCHOR_END: has_sent_more

    // ANCHOR: time_is_up
    /// The deadline has come. One that is in the middle of a request is told so. False if it is to
    /// be dropped.
    pub fn time_is_up(&mut self) -> bool {
        match self.state {
            State::Head if self.input.is_empty() => false,
            State::Head | State::Body(..) => {
                self.refuse(BadRequest::TooSlow);
                !matches!(self.step(), Step::Closed)
            }
            State::Answer { .. } | State::Refusal | State::Linger => false,
        }
    }
    // ANCHOR_END: time_is_up

    // ANCHOR: read_head
    fn read_head(&mut self) -> io::Result<Step> {
        loop {
            match Request::parse(&self.input) {
                Ok(Some((request, length))) => {
                    self.input.drain(..length);
                    return Ok(match request.body {
                        Body::Length(left @ 1..) => {
                            self.state = State::Body(request, left);
                            self.deadline = Instant::now() + READ_TIMEOUT;
                            self.step()
                        }
                        _ => Step::Answer(request),
                    });
                }
                Ok(None) => {}
                Err(bad) => {
                    self.refuse(bad);
                    return self.write_answer();
                }
            }
            let begins = self.input.is_empty();
            if self.fill()? == 0 {
                return Ok(Step::Closed);
            }
            // A whole head has to come in this time, not only a byte of it now and then.
            if begins {
                self.deadline = Instant::now() + READ_TIMEOUT;
            }
        }
    }
    // ANCHOR_END: read_head

    fn read_body(&mut self) -> io::Result<Step> {
        for _ in 0..IN_A_ROW {
            let State::Body(request, left) = &mut self.state else {
                return Ok(Step::Wait);
            };
            let here =
                self.input.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
            self.input.drain(..here);
            *left -= here as u64;
            if *left == 0 {
                return Ok(Step::Answer(request.clone()));
            }
            if self.fill()? == 0 {
                return Ok(Step::Closed);
            }
            self.deadline = Instant::now() + READ_TIMEOUT;
        }
        // What came last may be the rest: poll(2) would wait for more.
        self.more = true;
        Ok(Step::Wait)
    }

    /// Reads once. 0 at the end of the stream.
    fn fill(&mut self) -> io::Result<usize> {
        // Not into `input` itself: thousands of silent clients would each keep a buffer of this size.
        let mut bytes = [0; MAX_HEAD];
        let read = self.stream.read(&mut bytes)?;
        self.input.extend_from_slice(&bytes[..read]);
        Ok(read)
    }

    // ANCHOR: write_answer
    fn write_answer(&mut self) -> io::Result<Step> {
        while self.written < self.output.len() {
            self.written += self.stream.write(&self.output[self.written..])?;
            self.deadline = Instant::now() + READ_TIMEOUT;
        }
        self.output = Vec::new();
        let State::Answer { close } = self.state else { return self.end() };
        self.state = State::Head;
        if close {
            self.end()?;
        }
        Ok(Step::Answered)
    }

    /// Ends our side of the stream.
    fn end(&mut self) -> io::Result<Step> {
        self.state = State::Linger;
        self.deadline = Instant::now() + LINGER;
        self.stream.shutdown(Shutdown::Write)?;
        Ok(Step::Wait)
    }
    // ANCHOR_END: write_answer

    // ANCHOR: linger
    fn linger(&mut self) -> io::Result<Step> {
        let mut unread = [0; MAX_HEAD];
        for _ in 0..IN_A_ROW {
            if self.stream.read(&mut unread)? == 0 {
                return Ok(Step::Closed);
            }
        }
        Ok(Step::Wait)
    }
    // ANCHOR_END: linger

    fn refuse(&mut self, bad: BadRequest) {
        self.answer(print_error(bad), true);
        self.state = State::Refusal;
    }
}

/// Not an error: there is nothing to read, or no room to write.
fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
