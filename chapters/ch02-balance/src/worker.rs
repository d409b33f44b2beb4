//! The child: writes its reply on each connection, and closes it so that the reply arrives.

use std::{
    io::Write,
    net::{Shutdown, TcpStream},
    os::fd::{AsFd, AsRawFd},
    process,
    time::{Duration, Instant},
};

use ch01_fork_ipc::RecvError;
use ch02_balance::{FdChannel, Incoming, OpenSocket, Passed, poll_until};
use cli::complain;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    sys::socket::{MsgFlags, recv},
};

/// The most connections at once. Further ones wait with the parent, which then stops accepting.
const MAX_CONNECTIONS: usize = 4096;

/// Connections that are answered in a row. Then those are looked after that were answered before.
const IN_A_ROW: usize = 64;

/// How long a client may take to close, once it has been answered.
const LINGER: Duration = Duration::from_secs(5);

/// How long answered clients are waited for when the parent is gone.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// A worker of chapter 2.
pub struct Worker {
    reply: String,
    /// `None`: the parent is gone, and no connection will come.
    channel: Option<FdChannel>,
    answered: Vec<Answered>,
}

/// A connection that has its reply. It waits for its client to close first.
struct Answered {
    stream: TcpStream,
    until: Instant,
    _open: Option<OpenSocket>,
}

impl Worker {
    /// A worker that calls itself `name`.
    pub fn new(name: &str, channel: FdChannel) -> Worker {
        let pid = process::id();
        let reply =
            format!("Request handled with {name} priority, running on {pid}");
        Worker { reply, channel: Some(channel), answered: Vec::new() }
    }

    // ANCHOR: run
    /// Answers until the parent is gone, and then for a second more, where clients need it.
    pub fn run(mut self) -> Result<(), Errno> {
        let (mut end, mut more) = (None, false);
        loop {
            if self.channel.is_none() {
                let end = *end.get_or_insert_with(|| Instant::now() + DRAIN_LIMIT);
                if self.answered.is_empty() || Instant::now() >= end {
                    return Ok(());
                }
            }
            self.wait(if more { Some(Instant::now()) } else { end })?;
            more = self.receive();
        }
    }
    // ANCHOR_END: run

    // ANCHOR: wait
    /// Waits until the parent or a client has something for us, and sees to the clients.
    fn wait(&mut self, end: Option<Instant>) -> Result<(), Errno> {
        let clients = self
            .answered
            .iter()
            .map(|it| PollFd::new(it.stream.as_fd(), PollFlags::POLLIN));
        let mut polled: Vec<PollFd> = clients.collect();
        if let Some(channel) = &self.channel {
            let mut events = channel.interest();
            if self.answered.len() >= MAX_CONNECTIONS {
                events.remove(PollFlags::POLLIN);
            }
            polled.push(PollFd::new(channel.as_fd(), events));
        }
        let first = self.answered.iter().map(|it| it.until).chain(end).min();
        match poll(&mut polled, poll_until(first)) {
            Err(Errno::EINTR) => return Ok(()),
            result => result?,
        };
        let ready: Vec<bool> =
            polled.iter().map(|it| it.any().unwrap_or(true)).collect();
        let now = Instant::now();
        let mut ready = ready.into_iter();
        self.answered.retain(|it| {
            !(ready.next() == Some(true) && has_closed(&it.stream))
                && now < it.until
        });
        Ok(())
    }
    // ANCHOR_END: wait

    // ANCHOR: receive
    /// Answers connections that have arrived; true if there may be more of them, which poll(2) does
    /// not know of.
    fn receive(&mut self) -> bool {
        for _ in 0..IN_A_ROW {
            let Some(channel) = &mut self.channel else { return false };
            // One that does not fit any more stays with the parent: it was not acknowledged.
            if self.answered.len() >= MAX_CONNECTIONS {
                return false;
            }
            match channel.recv() {
                Ok(Some(Incoming::Passed(passed))) => self.answer(passed),
                Ok(Some(Incoming::Missing)) => {
                    complain(
                        "a connection was lost on its way here: no descriptor is free",
                    );
                }
                Ok(Some(_)) => {}
                Err(error) if error.would_block() => return false,
                Err(error @ RecvError::Json(_)) => complain(error),
                Ok(None) => self.channel = None,
                Err(error) => {
                    complain(error);
                    self.channel = None;
                }
            }
        }
        true
    }
    // ANCHOR_END: receive

    // ANCHOR: answer
    /// Writes the reply and ends our side of the stream: Node's `socket.end(text)`.
    ///
    /// It does not close the socket yet. The client has sent a request that nobody has read, and
    /// close(2) with unread bytes resets the connection: the reset may overtake the reply and
    /// destroy it (RFC 9112, 9.6). So we end our side only, and read until the client ends its own.
    fn answer(&mut self, passed: Passed) {
        let mut stream = TcpStream::from(passed.fd);
        // A new connection has room for these few bytes; where it has not, its client is gone.
        let written = stream.write_all(self.reply.as_bytes());
        if written.and_then(|()| stream.shutdown(Shutdown::Write)).is_ok() {
            let until = Instant::now() + LINGER;
            self.answered.push(Answered { stream, until, _open: passed.open });
        }
    }
    // ANCHOR_END: answer
}

// ANCHOR: has_closed
/// Reads away what the client sends; true at the end of it. Does not block.
fn has_closed(stream: &TcpStream) -> bool {
    let mut unread = [0; 4096];
    // Not for ever: a client that sends without pause must not keep the others waiting.
    for _ in 0..16 {
        match recv(stream.as_raw_fd(), &mut unread, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return true,
            Ok(read) if read == unread.len() => {}
            Ok(_) | Err(Errno::EAGAIN | Errno::EINTR) => return false,
            Err(_) => return true,
        }
    }
    false
}
// ANCHOR_END: has_closed
