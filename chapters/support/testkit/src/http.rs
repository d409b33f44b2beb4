//! A small HTTP/1.1 client. Every socket has a time-out of 10 s.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::response_reader::{fill, read_response, split_header};

/// No connect, read or write blocks longer than this.
const TIME_OUT: Duration = Duration::from_secs(10);

/// A response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Names and values, in the order of the response.
    pub headers: Vec<(String, String)>,
    /// The body, without the sizes of its chunks if it was chunked.
    pub body: String,
}

impl Response {
    /// The value of the first header of that name, in upper or lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found =
            self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(&found.1)
    }
}

/// What a client got, in words for the message of a failure.
pub fn in_words(result: &io::Result<Response>) -> String {
    match result {
        Ok(response) => {
            let header = response.header("Connection");
            let header = header.map(|value| format!("`Connection: {value}` and "));
            format!(
                "the response {}, with {}the text '{}'",
                response.status,
                header.unwrap_or_default(),
                response.body.trim_end()
            )
        }
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                "no response while it waited".to_owned()
            }
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                "no response: its connection was reset".to_owned()
            }
            ErrorKind::ConnectionRefused => {
                "no response: its connection was refused".to_owned()
            }
            _ => format!("no response: {error}"),
        },
    }
}

/// Requests `/` on a new connection with `Connection: close`, and reads until EOF.
///
/// # Errors
/// Those of the connection; `UnexpectedEof` for an incomplete response,
/// `InvalidData` for one that is not HTTP or that is followed by more bytes,
/// `TimedOut` if no byte arrives for 10 s.
pub fn get(addr: SocketAddr) -> io::Result<Response> {
    let mut client = Client::connect(addr)?;
    client.send_raw(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    )?;
    let response = client.read_response()?;
    client.read_to_end()?;
    if client.buffer.is_empty() {
        return Ok(response);
    }
    let rest = String::from_utf8_lossy(&client.buffer);
    let what = format!("bytes after the response: {rest:?}");
    Err(io::Error::new(ErrorKind::InvalidData, what))
}

/// Writes `bytes` on a new connection and reads until EOF: for servers that respond
/// without any header.
///
/// # Errors
/// Those of [`get`]; `InvalidData` if the response is not UTF-8.
pub fn raw_exchange(addr: SocketAddr, bytes: &[u8]) -> io::Result<String> {
    let mut client = Client::connect(addr)?;
    client.send_raw(bytes)?;
    client.read_to_end()?;
    String::from_utf8(client.buffer)
        .map_err(|e| io::Error::new(ErrorKind::InvalidData, e))
}

/// One connection that stays open from response to response.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    /// Bytes that were read after the end of the last response.
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(addr: SocketAddr) -> io::Result<Client> {
        let stream = TcpStream::connect_timeout(&addr, TIME_OUT)?;
        stream.set_read_timeout(Some(TIME_OUT))?;
        stream.set_write_timeout(Some(TIME_OUT))?;
        // A test that sends a request in pieces wants each piece to be sent at
        // once.
        stream.set_nodelay(true)?;
        Ok(Client { stream, buffer: Vec::new() })
    }

    /// Requests `path`, without a `Connection` header, and reads the response.
    ///
    /// # Errors
    /// Those of [`get`].
    pub fn get(&mut self, path: &str) -> io::Result<Response> {
        self.send_raw(
            format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes(),
        )?;
        self.read_response()
    }

    /// Writes bytes as they are: half a request, three at once, nonsense.
    ///
    /// # Errors
    /// Those of write(2).
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Shuts down the sending side. Responses can still be read.
    ///
    /// # Errors
    /// Those of shutdown(2).
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    /// Blocks until one whole response has arrived. Several requests may be sent
    /// before: the responses are kept in order.
    ///
    /// # Errors
    /// Those of [`get`].
    pub fn read_response(&mut self) -> io::Result<Response> {
        let message = read_response(&mut self.stream, &mut self.buffer)?;
        let head = String::from_utf8_lossy(&self.buffer[message.head]);
        let headers = head.split("\r\n").skip(1).map(|line| {
            let (name, value) = split_header(line)?;
            Ok((name.to_owned(), value.to_owned()))
        });
        let headers = headers.collect::<io::Result<_>>()?;
        let body = String::from_utf8_lossy(&self.buffer[message.body]).into_owned();
        self.buffer.drain(..message.end);
        Ok(Response { status: message.status, headers, body })
    }

    /// Blocks until the server closes or resets the connection; `false` if it does
    /// neither `within` that time, or sends a byte instead.
    pub fn is_closed_within(&mut self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        let is_closed = self.buffer.is_empty() && self.is_closed_before(deadline);
        let _ = self.stream.set_read_timeout(Some(TIME_OUT));
        is_closed
    }

    fn is_closed_before(&mut self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Zero would mean "no time-out".
            let time_out = left.max(Duration::from_millis(1));
            let _ = self.stream.set_read_timeout(Some(time_out));
            match self.stream.read(&mut [0; 1]) {
                Ok(count) => return count == 0,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    if left.is_zero() {
                        return false;
                    }
                }
                Err(_) => return true,
            }
        }
    }

    fn read_to_end(&mut self) -> io::Result<()> {
        while fill(&mut self.stream, &mut self.buffer)? > 0 {}
        Ok(())
    }

    /// The socket itself, for what this client does not do.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }
}
