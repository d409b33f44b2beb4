//! Given: the child. It holds each connection for as long as the client says.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::TcpStream,
    os::fd::AsFd,
    process::{self, ExitCode},
    time::{Duration, Instant},
};

use ch01_fork_ipc::RecvError;
use ch02_balance::{FdChannel, Incoming, poll_until};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
};
use serde_json::json;

/// A connection.
struct Held {
    stream: TcpStream,
    /// What the client has said, up to the end of a line.
    said: Vec<u8>,
    /// When to close it; `None` until the client has said how long.
    until: Option<Instant>,
}

/// Holds connections until the parent is gone.
pub fn hold(mut channel: FdChannel) -> anyhow::Result<ExitCode> {
    let mut held: Vec<Held> = Vec::new();
    loop {
        wait(&channel, &held)?;
        let before = held.len();
        held.retain_mut(|it| it.goes_on().unwrap_or(false));
        // They are closed by now. Only then the parent may count on it.
        for _ in held.len()..before {
            let _ = channel.send(&json!("closed"));
        }
        loop {
            match channel.recv() {
                Ok(Some(Incoming::Passed(passed))) => {
                    let stream = TcpStream::from(passed.fd);
                    stream.set_nonblocking(true)?;
                    held.push(Held { stream, said: Vec::new(), until: None });
                }
                Ok(Some(_)) | Err(RecvError::Json(_)) => {}
                Err(error) if error.would_block() => break,
                Ok(None) | Err(_) => return Ok(ExitCode::SUCCESS),
            }
        }
    }
}

fn wait(channel: &FdChannel, held: &[Held]) -> Result<(), Errno> {
    let mut polled = vec![PollFd::new(channel.as_fd(), channel.interest())];
    polled.extend(
        held.iter().map(|it| PollFd::new(it.stream.as_fd(), PollFlags::POLLIN)),
    );
    match poll(&mut polled, poll_until(held.iter().filter_map(|it| it.until).min()))
    {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(error) => Err(error),
    }
}

impl Held {
    /// Reads what has come. `false`: it is over.
    fn goes_on(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 256];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(read) if self.until.is_none() => self.hear(&buffer[..read])?,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(self.until.is_none_or(|until| Instant::now() < until))
    }

    fn hear(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.said.extend(bytes);
        let Some(end) = self.said.iter().position(|byte| *byte == b'\n') else {
            let short = self.said.len() < 64;
            return if short { Ok(()) } else { Err(ErrorKind::InvalidData.into()) };
        };
        let text = String::from_utf8_lossy(&self.said[..end]);
        let time = text.trim().parse().map_err(|_| ErrorKind::InvalidData)?;
        writeln!(self.stream, "held by {}", process::id())?;
        self.until = Some(Instant::now() + Duration::from_millis(time));
        Ok(())
    }
}
