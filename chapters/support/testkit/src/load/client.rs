//! One client: one request after another.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{Kind, Load, Report, Shared};
use crate::reply::{pid_in, raw_reply};
use crate::wire::read_message;

/// A request that takes longer is lost.
const TIME_OUT: Duration = Duration::from_secs(15);

/// Before the next try where the kernel said no, so that trying does not eat the CPU.
const PAUSE: Duration = Duration::from_millis(1);

pub(super) struct Client {
    load: Load,
    request: Vec<u8>,
    buffer: Vec<u8>,
    /// The connection that the next request may use: only with keep-alive.
    kept: Option<TcpStream>,
}

enum Failure {
    Refused,
    Lost(String),
}

/// Who answered.
struct Answer {
    name: Option<&'static str>,
    pid: i32,
}

impl Client {
    pub fn new(load: Load) -> Client {
        let request = match load.kind {
            Kind::Raw => "GET / HTTP/1.0\r\n\r\n".to_owned(),
            Kind::HttpClose => {
                format!(
                    "GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
                    load.addr
                )
            }
            Kind::HttpKeepAlive => {
                format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", load.addr)
            }
        };
        Client {
            load,
            request: request.into_bytes(),
            buffer: Vec::new(),
            kept: None,
        }
    }

    pub fn run(mut self, shared: &Shared) -> Report {
        let mut report = Report::default();
        while shared.next() {
            let begun = Instant::now();
            match self.one() {
                Ok(answer) => {
                    report.answer(answer.pid, answer.name, begun.elapsed());
                    shared.answered.fetch_add(1, Ordering::Relaxed);
                }
                Err(Failure::Lost(why)) => {
                    report.lose(format!("{why} (after {:.2?})", begun.elapsed()));
                }
                Err(Failure::Refused) => {
                    report.refused += 1;
                    sleep(PAUSE);
                }
            }
        }
        report
    }

    fn one(&mut self) -> Result<Answer, Failure> {
        let kept = self.kept.take();
        let state = if kept.is_some() { "kept" } else { "new" };
        let stream = match kept {
            Some(stream) => stream,
            None => connect(&self.load).map_err(|e| match e.kind() {
                ErrorKind::ConnectionRefused => Failure::Refused,
                _ => Failure::Lost(format!("connect: {e}")),
            })?,
        };
        self.exchange(stream)
            .map_err(|e| Failure::Lost(format!("{state} connection: {e}")))
    }

    fn exchange(&mut self, mut stream: TcpStream) -> io::Result<Answer> {
        stream.write_all(&self.request)?;
        if self.load.kind == Kind::Raw {
            return raw_answer(&mut stream);
        }
        self.buffer.clear();
        let message = read_message(&mut stream, &mut self.buffer)?;
        let body = &self.buffer[message.body];
        let pid = std::str::from_utf8(body).ok().and_then(pid_in);
        let right = message.status == 200 && message.end == self.buffer.len();
        let Some(pid) = pid.filter(|_| right) else {
            return Err(wrong(&self.buffer));
        };
        match self.load.kind {
            Kind::HttpKeepAlive if !message.close => self.kept = Some(stream),
            Kind::HttpKeepAlive => {}
            _ => expect_end(&mut stream)?,
        }
        Ok(Answer { name: None, pid })
    }
}

fn connect(load: &Load) -> io::Result<TcpStream> {
    let deadline = Instant::now() + TIME_OUT;
    loop {
        match TcpStream::connect_timeout(&load.addr, TIME_OUT) {
            // Our own side has run out of ports: that is no fault of the server's.
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

/// Only the end of the stream tells that this answer is whole.
fn raw_answer(stream: &mut TcpStream) -> io::Result<Answer> {
    let mut buffer = [0; 256];
    let mut used = 0;
    while used < buffer.len() {
        match read(stream, &mut buffer[used..])? {
            0 => break,
            n => used += n,
        }
    }
    match raw_reply(&buffer[..used]) {
        Some((name, pid)) => Ok(Answer { name: Some(name), pid }),
        None if used == 0 => {
            Err(Error::new(ErrorKind::UnexpectedEof, "end without an answer"))
        }
        None => Err(wrong(&buffer[..used])),
    }
}

/// Lets the server close first: the side that does keeps the port in TIME_WAIT, and a client
/// soon has none left. The answer is whole already, so a reset now harms nobody.
fn expect_end(stream: &mut TcpStream) -> io::Result<()> {
    let mut byte = [0];
    match read(stream, &mut byte) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::new(
            ErrorKind::InvalidData,
            "more bytes than the answer has",
        )),
        Err(e) if e.kind() == ErrorKind::TimedOut => Err(Error::new(
            ErrorKind::TimedOut,
            "answered, but still open: `close` was asked for",
        )),
        Err(_) => Ok(()),
    }
}

/// As `read`, with an error that says what happened when the time is up.
fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                return Err(Error::new(ErrorKind::TimedOut, "no answer in time"));
            }
            other => return other,
        }
    }
}

fn wrong(bytes: &[u8]) -> Error {
    let seen = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
    Error::new(ErrorKind::InvalidData, format!("wrong answer {seen:?}"))
}
