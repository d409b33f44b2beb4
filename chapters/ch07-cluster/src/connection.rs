// ANCHOR: top
//! A connection that is kept: request after request, until one side ends it.

use std::{
    io::{self, ErrorKind, Read, Write},
    mem,
    net::Shutdown,
    os::fd::{AsFd, BorrowedFd},
    time::{Duration, Instant},
};

use ch05_restart::{Request, Response};
use mio::{Interest, Registry, Token, net::TcpStream};

use crate::{
    body::{BadBody, MAX_BODY},
    head::Head,
    print::{After, CONTINUE, print},
};
// ANCHOR_END: top

// ANCHOR: limits
/// How long a client may take for the head of a request, and how long it may send
/// nothing of a body, or read nothing of a response.
const CLIENT_LIMIT: Duration = Duration::from_secs(10);

/// How long a connection may be idle between two requests.
const IDLE_LIMIT: Duration = Duration::from_secs(60);

/// After the last response: how long a client may be silent until we close, how long
/// it may go on sending, and how much.
const SILENCE_LIMIT: Duration = Duration::from_secs(2);
const LINGER_LIMIT: Duration = Duration::from_secs(10);
const LINGER_BYTES: u64 = MAX_BODY;

/// Responses are written once they have so many bytes. A client that sends requests
/// and reads no response fills no more memory than that.
const MAX_OUTPUT: usize = 64 << 10;

/// Reads in a row from one connection. Then it is the others' turn.
const READS_IN_A_ROW: usize = 16;
// ANCHOR_END: limits

// ANCHOR: turn
/// What a connection needs for its turn: the loop has it once, for all connections.
pub struct Turn<'a> {
    /// The time at which the turn began.
    pub now: Instant,
    /// The value of the `Date` field.
    pub date: &'a str,
    /// Each response says `Connection: close`, and the connection is closed.
    pub must_close: bool,
    /// Makes the response to a request.
    pub handle: &'a mut dyn FnMut(&Request) -> Response,
    /// The buffer that every read fills.
    pub input: &'a mut [u8],
    /// Responses that are not written yet.
    pub output: &'a mut Vec<u8>,
}
// ANCHOR_END: turn

// ANCHOR: fields
/// A connection. None of its methods blocks. While it is idle it has no buffers.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    state: State,
    /// What was read and could not be used yet.
    input: Vec<u8>,
    /// What the kernel did not take yet, from `written` on.
    output: Vec<u8>,
    written: usize,
    /// Responses in `output`, or on the way there.
    responses: u64,
    /// There may be something to read. Epoll says it once (edge-triggered), so it is
    /// remembered until a read finds nothing.
    is_readable: bool,
    /// Epoll has reported the end of the client's side; no read has returned 0 yet.
    is_ending: bool,
    /// A read has returned 0.
    has_ended: bool,
    /// `input` may have another complete request.
    has_more: bool,
    /// When the connection is closed, if the client does nothing.
    deadline: Instant,
    /// It was answered no request yet.
    is_fresh: bool,
    /// What epoll watches: nothing before the first call of `watch`.
    watched: Option<Interest>,
    /// The loop goes on with it in the next turn.
    pub is_queued: bool,
}

#[derive(Debug)]
enum State {
    /// The head of a request is not complete. `has_begun`: a part of it has arrived.
    Head {
        has_begun: bool,
    },
    /// The body is not complete.
    Body(Box<Head>),
    /// No further request is read. When everything is written, the connection is
    /// closed; `linger`: only after the client has ended its side.
    Last {
        linger: bool,
    },
    /// What the client still sends is read and discarded, until `end` and up to
    /// `bytes` (as in chapter 5).
    Lingering {
        end: Instant,
        bytes: u64,
    },
    Closed,
}
// ANCHOR_END: fields

impl Connection {
    // ANCHOR: new
    /// A connection whose client has 10 s for its first request. `stream` does not
    /// block.
    pub fn new(stream: TcpStream, now: Instant) -> Connection {
        Connection {
            stream,
            state: State::Head { has_begun: false },
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            responses: 0,
            is_readable: false,
            is_ending: false,
            has_ended: false,
            has_more: false,
            deadline: now + CLIENT_LIMIT,
            is_fresh: true,
            watched: None,
            is_queued: false,
        }
    }

    /// A connection that another worker has given to this one. `is_fresh`: it was
    /// answered no request yet.
    pub fn taken(stream: TcpStream, is_fresh: bool, now: Instant) -> Connection {
        let limit = if is_fresh { CLIENT_LIMIT } else { IDLE_LIMIT };
        Connection {
            is_fresh,
            deadline: now + limit,
            ..Connection::new(stream, now)
        }
    }
    // ANCHOR_END: new

    // ANCHOR: watch
    /// Registers the connection with epoll, to read. Once a response could not be
    /// written at once, also to write: that stays, and costs nothing, because epoll says
    /// it once (edge-triggered).
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn watch(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let watched = match (self.output.is_empty(), self.watched) {
            (true, None) => Interest::READABLE,
            (false, None | Some(Interest::READABLE)) => {
                Interest::READABLE | Interest::WRITABLE
            }
            _ => return Ok(()),
        };
        match self.watched.replace(watched) {
            None => registry.register(&mut self.stream, token, watched),
            Some(_) => registry.reregister(&mut self.stream, token, watched),
        }
    }

    /// Epoll forgets the connection. Closing it is not enough if another process has
    /// a copy (epoll(7)).
    pub fn unwatch(&mut self, registry: &Registry) {
        if self.watched.take().is_some() {
            // It fails only if epoll does not know it.
            let _ = registry.deregister(&mut self.stream);
        }
    }
    // ANCHOR_END: watch

    // ANCHOR: ask
    /// There is something to read. `is_end`: the client has ended its side, too.
    pub fn set_readable(&mut self, is_end: bool) {
        self.is_readable = true;
        self.is_ending |= is_end;
    }

    /// Whether the connection can go on without an event.
    pub fn can_go_on(&self) -> bool {
        self.output.is_empty()
            && !self.is_closed()
            && (self.has_more || self.is_readable)
    }

    /// Whether the connection is between two requests: nothing of the next one has
    /// been read, and no response is unwritten.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Head { .. })
            && self.input.is_empty()
            && self.output.is_empty()
            && !self.has_ended
    }

    /// Whether no request was answered yet.
    pub fn is_fresh(&self) -> bool {
        self.is_fresh
    }

    /// Whether the connection can be dropped.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// When [`time_out`](Connection::time_out) must be called.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    // ANCHOR_END: ask

    // ANCHOR: advance
    /// Goes on as far as that is possible without blocking, but not for long. Returns
    /// how many responses were written.
    pub fn advance(&mut self, turn: &mut Turn) -> u64 {
        self.write(turn.now);
        if !self.output.is_empty() || self.is_closed() {
            return self.take_responses();
        }
        match self.state {
            State::Lingering { .. } => self.discard_input(turn),
            State::Last { .. } | State::Closed => {}
            State::Head { .. } | State::Body(_) => {
                if mem::take(&mut self.has_more) {
                    let input = mem::take(&mut self.input);
                    let used = self.use_input(&input, turn);
                    self.keep(input, used);
                } else {
                    self.read(turn);
                }
                self.write_new(turn);
            }
        }
        self.take_responses()
    }

    fn take_responses(&mut self) -> u64 {
        if self.output.is_empty() { mem::take(&mut self.responses) } else { 0 }
    }
    // ANCHOR_END: advance

    // ANCHOR: read
    /// Reads once, and uses what has arrived.
    fn read(&mut self, turn: &mut Turn) {
        if !self.is_readable {
            return;
        }
        let length = match self.stream.read(turn.input) {
            Ok(0) => {
                (self.is_readable, self.has_ended) = (false, true);
                return self.end_if_client_has();
            }
            Ok(length) => length,
            Err(error) => return self.failed(&error),
        };
        // Fewer bytes than there was room for: the socket is empty (epoll(7)). Only
        // the end may follow.
        self.is_readable = length == turn.input.len() || self.is_ending;
        if self.input.is_empty() {
            // The usual case: the whole request is here, and nothing is copied.
            let input = mem::take(&mut turn.input);
            let used = self.use_input(&input[..length], turn);
            self.input.extend_from_slice(&input[used..length]);
            turn.input = input;
        } else {
            let mut input = mem::take(&mut self.input);
            input.extend_from_slice(&turn.input[..length]);
            let used = self.use_input(&input, turn);
            self.keep(input, used);
        }
    }

    /// Keeps what could not be used.
    fn keep(&mut self, mut input: Vec<u8>, used: usize) {
        input.drain(..used);
        if !input.is_empty() {
            self.input = input;
        }
        self.end_if_client_has();
    }

    /// If the client sends no more, what is not complete will never be.
    fn end_if_client_has(&mut self) {
        let can_wait = matches!(self.state, State::Head { .. } | State::Body(_));
        if self.has_ended && can_wait && !self.has_more {
            self.state = State::Last { linger: false };
        }
    }
    // ANCHOR_END: read

    // ANCHOR: use_input
    /// Answers the complete requests in `input`. Returns how many bytes were used.
    fn use_input(&mut self, input: &[u8], turn: &mut Turn) -> usize {
        let mut used = 0;
        while turn.output.len() < MAX_OUTPUT {
            let rest = &input[used..];
            let last = State::Last { linger: true };
            let (length, is_complete) = match mem::replace(&mut self.state, last) {
                State::Head { has_begun } => self.use_head(has_begun, rest, turn),
                State::Body(head) => self.use_body(*head, rest, turn),
                last => {
                    // What follows the last request is not used.
                    self.state = last;
                    return input.len();
                }
            };
            used += length;
            if !is_complete {
                return used;
            }
        }
        self.has_more = used < input.len();
        used
    }

    /// Uses the head of a request, and the body if it is here. Returns how many bytes
    /// that was, and whether it was a complete request.
    fn use_head(
        &mut self,
        has_begun: bool,
        input: &[u8],
        turn: &mut Turn,
    ) -> (usize, bool) {
        // Some clients send a line end too many behind a body (RFC 9112, 2.2).
        let is_blank = input.iter().all(|byte| b"\r\n".contains(byte));
        if is_blank {
            self.state = State::Head { has_begun };
            return (input.len(), false);
        }
        match Head::parse(input) {
            Ok(Some(head)) => {
                let length = head.length;
                let (rest, is_complete) =
                    self.use_body(head, &input[length..], turn);
                (length + rest, is_complete)
            }
            Ok(None) => {
                if !has_begun {
                    self.deadline = turn.now + CLIENT_LIMIT;
                }
                self.state = State::Head { has_begun: true };
                (0, false)
            }
            Err(response) => {
                let is_head = input.trim_ascii_start().starts_with(b"HEAD ");
                self.refuse(&response, is_head, turn);
                (input.len(), false)
            }
        }
    }

    /// Discards what is here of the body. If it is complete, responds.
    fn use_body(
        &mut self,
        mut head: Head,
        input: &[u8],
        turn: &mut Turn,
    ) -> (usize, bool) {
        match head.body.discard(input) {
            Ok(length) if head.body.is_complete() => {
                self.respond(&head, length < input.len(), turn);
                (length, true)
            }
            Ok(length) => {
                if mem::take(&mut head.expects_continue) && input.is_empty() {
                    turn.output.extend_from_slice(CONTINUE);
                }
                self.deadline = turn.now + CLIENT_LIMIT;
                self.state = State::Body(Box::new(head));
                (length, false)
            }
            Err(BadBody(status)) => {
                let is_head = head.request.method == "HEAD";
                self.refuse(&Response::new(status), is_head, turn);
                (input.len(), false)
            }
        }
    }
    // ANCHOR_END: use_input

    // ANCHOR: respond
    /// Responds to a complete request. `has_rest`: something was read behind it.
    fn respond(&mut self, head: &Head, has_rest: bool, turn: &mut Turn) {
        let response = (turn.handle)(&head.request);
        let keep = head.keep_alive && !turn.must_close;
        let after = match (keep, head.is_http_1_0) {
            (false, _) => After::Close,
            (true, true) => After::KeepHttp10,
            (true, false) => After::Keep,
        };
        let head_only = head.request.method == "HEAD";
        print(turn.output, &response, head_only, turn.date, after);
        self.responses += 1;
        self.is_fresh = false;
        self.deadline = turn.now + IDLE_LIMIT;
        self.state = if keep {
            State::Head { has_begun: false }
        } else {
            // If the client did not ask for the end, it may have sent more.
            State::Last { linger: head.keep_alive || has_rest }
        };
    }

    /// Refuses a request: it is the last one.
    fn refuse(&mut self, response: &Response, is_head: bool, turn: &mut Turn) {
        print(turn.output, response, is_head, turn.date, After::Close);
        self.responses += 1;
        self.state = State::Last { linger: true };
    }
    // ANCHOR_END: respond

    // ANCHOR: write
    /// Writes the new responses. What the kernel does not take is kept.
    fn write_new(&mut self, turn: &mut Turn) {
        let mut written = 0;
        while written < turn.output.len() {
            match self.stream.write(&turn.output[written..]) {
                Ok(length) => written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.output = turn.output[written..].to_vec();
                    self.deadline = turn.now + CLIENT_LIMIT;
                    break;
                }
                Err(error) => {
                    self.failed(&error);
                    break;
                }
            }
        }
        turn.output.clear();
        turn.output.shrink_to(2 * MAX_OUTPUT);
        self.end_if_written(turn.now);
    }

    /// Goes on writing what the kernel did not take.
    fn write(&mut self, now: Instant) {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(length) => {
                    self.written += length;
                    self.deadline = now + CLIENT_LIMIT;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => return self.failed(&error),
            }
        }
        if mem::take(&mut self.written) > 0 {
            self.output = Vec::new();
            self.end_if_written(now);
        }
    }

    /// After the last response: closes, or lingers.
    fn end_if_written(&mut self, now: Instant) {
        let State::Last { linger } = self.state else { return };
        if !self.output.is_empty() {
            return;
        }
        self.state = State::Closed;
        if linger && self.stream.shutdown(Shutdown::Write).is_ok() {
            let end = now + LINGER_LIMIT;
            self.state = State::Lingering { end, bytes: LINGER_BYTES };
            self.deadline = now + SILENCE_LIMIT;
            self.is_readable = true;
        }
    }
    // ANCHOR_END: write

    // ANCHOR: discard
    /// Discards what the client sends after its last request.
    fn discard_input(&mut self, turn: &mut Turn) {
        for _ in 0..READS_IN_A_ROW {
            let State::Lingering { end, bytes } = self.state else { return };
            match self.stream.read(turn.input) {
                Ok(length) if 0 < length && (length as u64) < bytes => {
                    let bytes = bytes - length as u64;
                    self.state = State::Lingering { end, bytes };
                    self.deadline = end.min(turn.now + SILENCE_LIMIT);
                }
                Ok(_) => self.state = State::Closed,
                Err(error) => return self.failed(&error),
            }
        }
    }
    // ANCHOR_END: discard

    // ANCHOR: time_out
    /// The time is up. A client whose request has arrived in part gets the response
    /// 408.
    pub fn time_out(&mut self, date: &str) {
        let is_late = match self.state {
            State::Head { has_begun } => has_begun,
            State::Body(_) => true,
            _ => false,
        };
        if is_late && self.output.is_empty() {
            let mut output = Vec::new();
            let response = Response::new("408 Request Timeout");
            print(&mut output, &response, false, date, After::Close);
            let _ = self.stream.write(&output);
        }
    }
    // ANCHOR_END: time_out

    // ANCHOR: failed
    /// A read or write failed. If it would block, epoll says when to try again.
    fn failed(&mut self, error: &io::Error) {
        match error.kind() {
            ErrorKind::WouldBlock => self.is_readable = false,
            ErrorKind::Interrupted => {}
            _ => {
                self.state = State::Closed;
                self.output = Vec::new();
            }
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
