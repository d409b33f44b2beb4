//! One client: one request after another.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::response_reader::read_response;
use crate::responses::{parse_raw_response, pid_in};

/// A request that takes longer is lost.
const TIME_OUT: Duration = Duration::from_secs(15);

/// The pause before another attempt to connect, if this machine has no free port.
const PAUSE: Duration = Duration::from_millis(1);

/// How a client sends its requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection for each request. The response is chapter 2's line without any
    /// HTTP, up to EOF.
    Raw,
    /// A connection for each request, with `Connection: close`. The response is
    /// HTTP and names a pid.
    HttpClose,
    /// One connection for as long as the server keeps it. A response with
    /// `Connection: close` is followed by a new connection; a connection that is
    /// closed in any other way has lost a request.
    HttpKeepAlive,
}

/// A client, and the connection that it keeps.
pub(super) struct Client {
    addr: SocketAddr,
    kind: Kind,
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// The connection that the next request will use: only with keep-alive.
    kept: Option<TcpStream>,
}

/// The server's answer: which process gave it.
pub(super) struct Answer {
    pub name: Option<&'static str>,
    pub pid: i32,
}

/// Why there is no answer.
pub(super) enum Failure {
    Refused,
    Lost(String),
}

impl Client {
    pub fn new(addr: SocketAddr, kind: Kind) -> Client {
        let head = match kind {
            Kind::Raw => "GET / HTTP/1.0\r\n".to_owned(),
            Kind::HttpKeepAlive => format!("GET / HTTP/1.1\r\nHost: {addr}\r\n"),
            Kind::HttpClose => {
                format!("GET / HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n")
            }
        };
        let request = (head + "\r\n").into_bytes();
        Client { addr, kind, request, buffer: Vec::new(), kept: None }
    }

    /// Makes one request.
    pub fn request(&mut self) -> Result<Answer, Failure> {
        let kept = self.kept.take();
        let state = if kept.is_some() { "kept" } else { "new" };
        let stream = match kept {
            Some(stream) => stream,
            None => connect(self.addr).map_err(|e| match e.kind() {
                ErrorKind::ConnectionRefused => Failure::Refused,
                _ => Failure::Lost(format!("connect: {e}")),
            })?,
        };
        self.exchange(stream)
            .map_err(|e| Failure::Lost(format!("{state} connection: {e}")))
    }

    fn exchange(&mut self, mut stream: TcpStream) -> io::Result<Answer> {
        stream.write_all(&self.request)?;
        if self.kind == Kind::Raw {
            return read_raw_answer(&mut stream);
        }
        self.buffer.clear();
        let response = read_response(&mut stream, &mut self.buffer)?;
        let body = &self.buffer[response.body];
        let pid = std::str::from_utf8(body).ok().and_then(pid_in);
        let is_right = response.status == 200 && response.end == self.buffer.len();
        let Some(pid) = pid.filter(|_| is_right) else {
            return Err(wrong(&self.buffer));
        };
        match self.kind {
            Kind::HttpKeepAlive if !response.close => self.kept = Some(stream),
            Kind::HttpKeepAlive => {}
            _ => expect_eof(&mut stream)?,
        }
        Ok(Answer { name: None, pid })
    }
}

fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let deadline = Instant::now() + TIME_OUT;
    loop {
        match TcpStream::connect_timeout(&addr, TIME_OUT) {
            // The client's side has no free port left. That is not the server's
            // fault.
            Err(e)
                if e.kind() == ErrorKind::AddrNotAvailable
                    && Instant::now() < deadline =>
            {
                sleep(PAUSE);
            }
            Err(e) => return Err(e),
            Ok(stream) => {
                stream.set_read_timeout(Some(TIME_OUT))?;
                return Ok(stream);
            }
        }
    }
}

/// Reads until EOF: nothing else tells that this response is complete.
fn read_raw_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut buffer = [0; 256];
    let mut used = 0;
    while used < buffer.len() {
        match read(stream, &mut buffer[used..])? {
            0 => break,
            count => used += count,
        }
    }
    match parse_raw_response(&buffer[..used]) {
        Some((name, pid)) => Ok(Answer { name: Some(name), pid }),
        None if used == 0 => {
            Err(Error::new(ErrorKind::UnexpectedEof, "EOF without a response"))
        }
        None => Err(wrong(&buffer[..used])),
    }
}

/// Lets the server close first: the side that does keeps the port in TIME_WAIT, and
/// a client soon has none left. The response is complete, so a reset does no harm
/// now.
fn expect_eof(stream: &mut TcpStream) -> io::Result<()> {
    match read(stream, &mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorKind::InvalidData,
            "bytes after the end of the response",
        )),
        Err(e) if e.kind() == ErrorKind::TimedOut => Err(Error::new(
            ErrorKind::TimedOut,
            "answered, but not closed, in spite of `Connection: close`",
        )),
        Err(_) => Ok(()),
    }
}

/// read(2), with an error in words if it times out.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                let what = format!("no response within {TIME_OUT:?}");
                return Err(Error::new(ErrorKind::TimedOut, what));
            }
            other => return other,
        }
    }
}

fn wrong(bytes: &[u8]) -> Error {
    let seen = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    Error::new(ErrorKind::InvalidData, format!("wrong response {seen:?}"))
}
