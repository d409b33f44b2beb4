//! A small HTTP/1.1 client that a test can see through. Every socket has a time-out of 10 s.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::wire::{fill, header, read_message};

/// No call blocks longer than this on one read, one write or one connect.
const TIME_OUT: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values, in the order in which they came.
    pub headers: Vec<(String, String)>,
    /// The body, decoded where it came in chunks.
    pub body: String,
}

impl Response {
    /// The value of the first header of that name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found =
            self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// Asks for `/` on a new connection with `Connection: close`, and reads to the end of it.
///
/// # Errors
/// Whatever the connection says; `UnexpectedEof` for a cut answer, `InvalidData` for one that is
/// no HTTP or is followed by more, `TimedOut` when 10 s pass without a byte.
pub fn get(addr: SocketAddr) -> io::Result<Response> {
    let mut client = Client::connect(addr)?;
    client.send_raw(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )?;
    let response = client.read_response()?;
    while client.left.is_empty() && fill(&mut client.stream, &mut client.left)? > 0
    {
    }
    if client.left.is_empty() {
        return Ok(response);
    }
    let what = format!(
        "more than the answer: {:?}",
        String::from_utf8_lossy(&client.left)
    );
    Err(io::Error::new(ErrorKind::InvalidData, what))
}

/// Writes `bytes` on a new connection and reads to the end of the stream: for servers that answer
/// without any header.
///
/// # Errors
/// As [`get`], and `InvalidData` when the answer is not UTF-8.
pub fn raw_exchange(addr: SocketAddr, bytes: &[u8]) -> io::Result<String> {
    let mut client = Client::connect(addr)?;
    client.send_raw(bytes)?;
    while fill(&mut client.stream, &mut client.left)? > 0 {}
    String::from_utf8(client.left)
        .map_err(|e| io::Error::new(ErrorKind::InvalidData, e))
}

/// One connection that stays open from answer to answer.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes that came behind the answer before.
    left: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Whatever `connect` says.
    pub fn connect(addr: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&addr, TIME_OUT)?;
        stream.set_read_timeout(Some(TIME_OUT))?;
        stream.set_write_timeout(Some(TIME_OUT))?;
        // A test that sends a request in pieces wants them to leave one by one.
        stream.set_nodelay(true)?;
        Ok(Client { stream, left: Vec::new() })
    }

    /// Asks for `path`, says nothing of closing, and reads the answer.
    ///
    /// # Errors
    /// As [`get`].
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.send_raw(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(),
        )?;
        self.read_response()
    }

    /// Writes bytes as they are: half a request, three at once, nonsense.
    ///
    /// # Errors
    /// Whatever `write` says.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that no more will be sent, and goes on listening.
    ///
    /// # Errors
    /// Whatever `shutdown` says.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Blocks until one whole answer is there. More may be asked before that: answers wait.
    ///
    /// # Errors
    /// As [`get`].
    pub fn read_response(&mut self) -> io::Result<Response> {
        let message = read_message(&mut self.stream, &mut self.left)?;
        let head = String::from_utf8_lossy(&self.left[message.head]).into_owned();
        let headers = head.split("\r\n").skip(1).map(|line| {
            header(line).map(|(name, value)| (name.to_owned(), value.to_owned()))
        });
        let body = String::from_utf8_lossy(&self.left[message.body]).into_owned();
        let response = Response {
            status: message.status,
            headers: headers.collect::<Result<_, _>>()?,
            body,
        };
        self.left.drain(..message.end);
        Ok(response)
    }

    /// Blocks until the other side closes or resets the connection; `false` when it has done
    /// neither in that time, or has sent something instead.
    pub fn is_closed_within(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let closed = self.left.is_empty()
            && loop {
                // Zero would mean "for ever".
                let rest = deadline.saturating_duration_since(Instant::now());
                let _ = self
                    .stream
                    .set_read_timeout(Some(rest.max(Duration::from_millis(1))));
                match self.stream.read(&mut [0; 1]) {
                    Ok(n) => break n == 0,
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    Err(e) if e.kind() == ErrorKind::WouldBlock => {
                        if rest.is_zero() {
                            break false;
                        }
                    }
                    Err(_) => break true,
                }
            };
        let _ = self.stream.set_read_timeout(Some(TIME_OUT));
        closed
    }

    /// The socket itself, for what the kit does not do.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}
