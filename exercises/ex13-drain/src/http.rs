//! Given, here and in the capstone: a connection with a client, which may send many
//! requests, one after another. Nothing here blocks.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;

use crate::worker_io::Greeter;

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// A connection with a client.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What has arrived and was not looked at.
    input: Vec<u8>,
    /// What is still to be written of a response.
    output: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The request is not complete. First so many bytes are skipped: they are the
    /// body of the request before.
    Reading { skip: u64 },
    /// The same, but a whole request may be in `input`: poll(2) would not report
    /// that.
    Buffered { skip: u64 },
    /// The response is not written. If it is not the last, the next request comes
    /// after it.
    Writing { last: bool, skip: u64 },
    /// The last response is written, and our side is closed. What the client still
    /// sends is read: to close with unread bytes would reset the connection, and
    /// that can destroy the response on its way.
    Lingering,
}

/// What has become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is open, and waits for its client. Keep it.
    Waits,
    /// The same; but after the response the worker's program has failed. Keep it,
    /// too: its client may have more to ask.
    Failed,
    /// It has ended. Drop it.
    Closed,
}

impl Connection {
    /// The connection of a client that was just accepted.
    ///
    /// # Errors
    /// Those of fcntl(2) and setsockopt(2).
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        // A response must not wait until the client has acknowledged the one
        // before.
        stream.set_nodelay(true)?;
        let state = State::Reading { skip: 0 };
        Ok(Connection { stream, input: Vec::new(), output: Vec::new(), state })
    }

    /// What to wait for in poll(2).
    pub fn interest(&self) -> PollFlags {
        match self.state {
            State::Reading { .. } | State::Lingering => PollFlags::POLLIN,
            State::Buffered { .. } | State::Writing { .. } => PollFlags::POLLOUT,
        }
    }

    /// Reads what has arrived, and answers one request if it is complete. Does not
    /// block.
    ///
    /// With `last`, this response is the last one: it says `Connection: close`, and
    /// the connection ends when the client has closed it. (If the client has sent
    /// further requests already, the last of these gets the last response.)
    pub fn step(&mut self, program: &mut Greeter, last: bool) -> Step {
        match self.go_on(program, last) {
            Ok(step) => step,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Step::Waits,
            // Whatever it is, the client is gone.
            Err(_) => Step::Closed,
        }
    }

    fn go_on(&mut self, program: &mut Greeter, last: bool) -> io::Result<Step> {
        if let State::Reading { skip } | State::Buffered { skip } = self.state {
            if !self.read_request(skip, program, last)? {
                return Ok(Step::Closed);
            }
        }
        if let State::Writing { last, skip } = self.state {
            self.write_response(last, skip)?;
            return Ok(if program.answered() { Step::Failed } else { Step::Waits });
        }
        while self.stream.read(&mut [0; 4096])? > 0 {}
        Ok(Step::Closed)
    }

    /// Reads a request and makes its response. Returns false at the end of the
    /// stream.
    fn read_request(
        &mut self,
        mut skip: u64,
        program: &Greeter,
        last: bool,
    ) -> io::Result<bool> {
        loop {
            let skipped =
                self.input.len().min(skip.try_into().unwrap_or(usize::MAX));
            self.input.drain(..skipped);
            skip -= skipped as u64;
            self.state = State::Reading { skip };
            match parse(&self.input) {
                _ if skip > 0 => {}
                Ok(None) if self.input.len() < MAX_HEAD => {}
                Ok(Some(head)) => {
                    self.input.drain(..head.length);
                    let last = !head.keep_alive
                        || last && !self.has_further_input(head.body);
                    self.print("200 OK", &program.handle(), last);
                    self.state = State::Writing { last, skip: head.body };
                    return Ok(true);
                }
                Ok(None) | Err(_) => {
                    self.print("400 Bad Request", "400 Bad Request\n", true);
                    self.state = State::Writing { last: true, skip: 0 };
                    return Ok(true);
                }
            }
            if self.fill()? == 0 {
                return Ok(false);
            }
        }
    }

    fn write_response(&mut self, last: bool, skip: u64) -> io::Result<()> {
        while !self.output.is_empty() {
            let written = self.stream.write(&self.output)?;
            self.output.drain(..written);
        }
        self.state = match self.input.is_empty() {
            _ if last => State::Lingering,
            true => State::Reading { skip },
            false => State::Buffered { skip },
        };
        if last { self.stream.shutdown(Shutdown::Write) } else { Ok(()) }
    }

    /// Whether the client has sent more than the request, which has a body of so
    /// many bytes.
    fn has_further_input(&mut self, body: u64) -> bool {
        let _ = self.fill();
        self.input.len() as u64 > body
    }

    /// Reads once. 0 is the end of the stream.
    fn fill(&mut self) -> io::Result<usize> {
        let mut bytes = [0; 4096];
        let read = self.stream.read(&mut bytes)?;
        self.input.extend_from_slice(&bytes[..read]);
        Ok(read)
    }

    fn print(&mut self, status: &str, text: &str, last: bool) {
        let close = if last { "Connection: close\r\n" } else { "" };
        let length = text.len();
        self.output = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{close}\
             Content-Length: {length}\r\n\r\n{text}"
        )
        .into_bytes();
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The head of a request.
struct Head {
    length: usize,
    /// Whether the connection can be kept after the response.
    keep_alive: bool,
    /// How many bytes of a body follow.
    body: u64,
}

/// Parses the head at the beginning of `bytes`. `None`: it is not complete.
fn parse(bytes: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes)? else {
        return Ok(None);
    };
    let value = |name: &str| {
        let mut headers = request.headers.iter();
        let header = headers.find(|it| it.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(header.value).trim().to_ascii_lowercase())
    };
    let body = value("Content-Length").map_or(Ok(0), |text| text.parse());
    let body = body.map_err(|_| httparse::Error::HeaderValue)?;
    // The end of a chunked body is not looked for here, so no request can follow
    // it.
    let keep_alive = request.version == Some(1)
        && value("Connection").as_deref() != Some("close")
        && value("Transfer-Encoding").is_none();
    Ok(Some(Head { length, keep_alive, body }))
}
