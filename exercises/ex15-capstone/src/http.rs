//! Given: one client, its requests one after another, and a proper end. It never blocks.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;

use crate::harness::Greeter;

/// The longest head of a request, in bytes.
const MAX_HEAD: usize = 16 << 10;

/// A connection with a client.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    /// What has come and was not looked at yet.
    input: Vec<u8>,
    /// What is to be written.
    output: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// For a request. So many bytes of the body of the last one are still to be skipped.
    Waiting { skip: u64 },
    /// An answer is on its way. Then comes the next request, if this was not the last.
    Answering { last: bool, skip: u64 },
    /// All was answered. To close while the client still sends would reset the connection, and might
    /// destroy the answer on its way: so we end our side, and wait until it has ended its own.
    Lingering,
}

/// What has become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It is open, and waits for its client.
    Waits,
    /// The same; but behind an answer the worker's program has failed.
    Failed,
    /// It is done. Drop it.
    Closed,
}

impl Connection {
    /// A client that was just accepted.
    ///
    /// # Errors
    /// Those of fcntl(2) and setsockopt(2).
    pub fn new(stream: TcpStream) -> io::Result<Connection> {
        stream.set_nonblocking(true)?;
        // Answers are written whole. None should wait for the acknowledgement of the one before.
        stream.set_nodelay(true)?;
        let state = State::Waiting { skip: 0 };
        Ok(Connection { stream, input: Vec::new(), output: Vec::new(), state })
    }

    /// What poll(2) should look for.
    pub fn interest(&self) -> PollFlags {
        match self.state {
            State::Answering { .. } => PollFlags::POLLOUT,
            _ => PollFlags::POLLIN,
        }
    }

    /// Reads what has come, and answers each request that is whole. Does not block.
    ///
    /// With `last`, what has come already is answered, and no more: the last answer says so
    /// (`Connection: close`), and the connection ends when the client has closed it.
    pub fn step(&mut self, program: &mut Greeter, last: bool) -> Step {
        let mut failed = false;
        let result = self.go_on(program, last, &mut failed);
        match result {
            // If it has been closed as well, the next step finds that.
            _ if failed => Step::Failed,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Step::Waits,
            // Whatever it is, this client is gone.
            Ok(()) | Err(_) => Step::Closed,
        }
    }

    fn go_on(
        &mut self,
        program: &mut Greeter,
        last: bool,
        failed: &mut bool,
    ) -> io::Result<()> {
        loop {
            match self.state {
                State::Waiting { skip } => {
                    if !self.read_request(skip, program, last)? {
                        return Ok(());
                    }
                }
                State::Answering { last, skip } => {
                    self.write_answer(last, skip)?;
                    *failed |= program.answered();
                }
                State::Lingering => return self.linger(),
            }
        }
    }

    /// Whether there was one: at the end of the stream there is none.
    fn read_request(
        &mut self,
        mut skip: u64,
        program: &Greeter,
        last: bool,
    ) -> io::Result<bool> {
        loop {
            let here =
                self.input.len().min(usize::try_from(skip).unwrap_or(usize::MAX));
            self.input.drain(..here);
            skip -= here as u64;
            self.state = State::Waiting { skip };
            match parse(&self.input) {
                _ if skip > 0 => {}
                Ok(None) if self.input.len() < MAX_HEAD => {}
                Ok(Some((length, keep_alive, skip))) => {
                    self.input.drain(..length);
                    let last = !keep_alive || last && !self.has_sent_more(skip);
                    self.print("200 OK", &program.handle(), last);
                    self.state = State::Answering { last, skip };
                    return Ok(true);
                }
                Ok(None) | Err(_) => {
                    self.print("400 Bad Request", "400 Bad Request\n", true);
                    self.stream.write_all(&self.output)?;
                    self.end()?;
                    return Ok(true);
                }
            }
            if self.fill()? == 0 {
                return Ok(false);
            }
        }
    }

    fn write_answer(&mut self, last: bool, skip: u64) -> io::Result<()> {
        while !self.output.is_empty() {
            let written = self.stream.write(&self.output)?;
            self.output.drain(..written);
        }
        self.state = State::Waiting { skip };
        if last { self.end() } else { Ok(()) }
    }

    fn end(&mut self) -> io::Result<()> {
        self.state = State::Lingering;
        self.stream.shutdown(Shutdown::Write)
    }

    /// Reads, and forgets, until the client has closed.
    fn linger(&mut self) -> io::Result<()> {
        while self.stream.read(&mut [0; 4096])? > 0 {}
        Ok(())
    }

    /// Whether the client has sent more than the request that is being answered.
    fn has_sent_more(&mut self, skip: u64) -> bool {
        let _ = self.fill();
        self.input.len() as u64 > skip
    }

    /// Reads once. 0 at the end of the stream.
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
            "HTTP/1.1 {status}\r\n{close}Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{text}"
        )
        .into_bytes();
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The head at the beginning of `bytes`: how long it is, whether the client wants to keep the
/// connection, and how many bytes of a body follow. `None` if it is not whole.
fn parse(bytes: &[u8]) -> Result<Option<(usize, bool, u64)>, httparse::Error> {
    let mut headers = [httparse::EMPTY_HEADER; 100];
    let mut request = httparse::Request::new(&mut headers);
    let httparse::Status::Complete(length) = request.parse(bytes)? else {
        return Ok(None);
    };
    let header = |name: &str| {
        let found =
            request.headers.iter().find(|it| it.name.eq_ignore_ascii_case(name));
        found
            .map(|it| String::from_utf8_lossy(it.value).trim().to_ascii_lowercase())
    };
    let says = header("Connection").unwrap_or_default();
    let keep_alive = request.version == Some(1) && says != "close";
    let (body, chunked) =
        (header("Content-Length"), header("Transfer-Encoding").is_some());
    let body = body
        .map_or(Ok(0), |text| text.parse())
        .map_err(|_| httparse::Error::HeaderValue)?;
    // Where a chunked body ends, nobody here can tell. This answer has to be the last.
    Ok(Some((length, keep_alive && !chunked, body)))
}
