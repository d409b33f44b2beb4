//! Given: the child. It holds each connection for as long as the client says.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::process::{self, ExitCode};
use std::time::{Duration, Instant};

use ch02_balance::{FdChannel, Received, poll_tokens};
use nix::poll::{PollFd, PollFlags};
use serde_json::json;

/// A connection.
struct Held {
    stream: TcpStream,
    /// What the client has sent, up to the end of its line.
    line: Vec<u8>,
    /// When to close it; `None` until the client has sent its line.
    until: Option<Instant>,
}

/// Holds connections until the parent closes the channel.
pub fn hold(mut channel: FdChannel) -> anyhow::Result<ExitCode> {
    let mut held: Vec<Held> = Vec::new();
    loop {
        wait(&channel, &held)?;
        let before = held.len();
        held.retain_mut(|it| it.is_open().unwrap_or(false));
        // They are closed now, so the parent may count on it.
        for _ in held.len()..before {
            let _ = channel.send(&json!("closed"));
        }
        for received in channel.receive() {
            match received {
                Received::Handle(_, handle) => {
                    let stream = TcpStream::from(handle.fd);
                    stream.set_nonblocking(true)?;
                    held.push(Held { stream, line: Vec::new(), until: None });
                }
                Received::Closed(_) => return Ok(ExitCode::SUCCESS),
                _ => {}
            }
        }
    }
}

fn wait(channel: &FdChannel, held: &[Held]) -> io::Result<()> {
    let mut polled = vec![((), PollFd::new(channel.as_fd(), channel.interest()))];
    for it in held {
        polled.push(((), PollFd::new(it.stream.as_fd(), PollFlags::POLLIN)));
    }
    poll_tokens(polled, held.iter().filter_map(|it| it.until).min()).map(drop)
}

impl Held {
    /// Reads what has arrived. `false`: the client has closed, or its time is up.
    fn is_open(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 256];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(read) if self.until.is_none() => {
                    self.on_bytes(&buffer[..read])?;
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.until.is_none_or(|until| Instant::now() < until))
    }

    fn on_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.line.extend(bytes);
        let Some(end) = self.line.iter().position(|byte| *byte == b'\n') else {
            let short = self.line.len() < 64;
            return if short { Ok(()) } else { Err(ErrorKind::InvalidData.into()) };
        };
        let text = String::from_utf8_lossy(&self.line[..end]);
        let time = text.trim().parse().map_err(|_| ErrorKind::InvalidData)?;
        writeln!(self.stream, "held by {}", process::id())?;
        self.until = Some(Instant::now() + Duration::from_millis(time));
        Ok(())
    }
}
