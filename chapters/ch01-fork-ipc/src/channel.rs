//! Messages on a stream of bytes.
//!
//! A stream has no messages, only bytes: what was written in two pieces may be read in one, or in
//! five. So each message ends with a newline, as in Node, and [`Channel`] puts the pieces together.

use std::{
    io::{self, ErrorKind, Read, Write},
    ops::Range,
};

use serde_json::Value;

use crate::{Line, MAX_MESSAGE, RecvError, SendError};

/// How much is asked of the stream at once, in bytes. Node asks for as much.
const CHUNK: usize = 64 << 10;

/// Sends and receives JSON values over a stream, one a line.
///
/// It blocks if the stream does. On a non-blocking stream, what the other side does not take yet is
/// kept: call [`flush`](Channel::flush) when poll(2) says that the stream is writable.
#[derive(Debug)]
pub struct Channel<S> {
    stream: S,
    /// What has arrived is `start..end`; there is no newline in it before `scanned`. The rest is
    /// room to read into: to make that anew for each read would cost more than the read.
    inbox: Vec<u8>,
    start: usize,
    scanned: usize,
    end: usize,
    /// All bytes that were ever taken out as lines, and where the last of these lines began.
    taken: u64,
    last_line: u64,
    /// What has not left yet begins at `sent`.
    outbox: Vec<u8>,
    sent: usize,
    /// All bytes that the kernel has ever taken.
    flushed: u64,
}

impl<S> Channel<S> {
    /// A channel over `stream`, which must be connected.
    pub fn new(stream: S) -> Channel<S> {
        let (inbox, outbox) = (Vec::new(), Vec::new());
        Channel {
            stream,
            inbox,
            start: 0,
            scanned: 0,
            end: 0,
            taken: 0,
            last_line: 0,
            outbox,
            sent: 0,
            flushed: 0,
        }
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream below. What is read or written here bypasses the channel.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Bytes that are queued and that the kernel has not taken. More than 0: wait for `POLLOUT` too.
    pub fn unsent(&self) -> usize {
        self.outbox.len() - self.sent
    }

    /// Which bytes of the stream the last line was, its newline included: the first byte ever read is
    /// number 0. Chapter 2 matches it with what came beside these bytes.
    pub fn last_line(&self) -> Range<u64> {
        self.last_line..self.taken
    }

    /// Bytes that the kernel has taken, since the channel was made.
    pub fn flushed(&self) -> u64 {
        self.flushed
    }

    /// Bytes that were queued since the channel was made: what [`flushed`](Channel::flushed) will
    /// be when all of them have left.
    pub fn queued(&self) -> u64 {
        self.flushed + self.unsent() as u64
    }
}

impl<S: Read> Channel<S> {
    /// The next message. `Ok(None)` at the end of the stream, when the other side has closed it.
    ///
    /// Blocks until a whole line is there, if the stream blocks.
    ///
    /// # Errors
    /// - [`RecvError::Io`] with [`ErrorKind::WouldBlock`]: nothing whole has arrived on a
    ///   non-blocking stream; half a line is kept. Wait in poll(2) only after this: several messages
    ///   may have arrived in one read, and poll(2) does not see those that are held here.
    /// - [`RecvError::Json`]: one line is not JSON. It is skipped; the next call reads the line after
    ///   it.
    /// - [`RecvError::TooLong`] and [`RecvError::HalfLine`]: nothing more can be made of this
    ///   stream. Drop the channel.
    pub fn recv(&mut self) -> Result<Option<Value>, RecvError> {
        loop {
            if let Some(line) = self.line()? {
                return serde_json::from_slice(line).map(Some).map_err(RecvError::Json);
            }
            if self.fill()? == 0 {
                let whole = self.start == self.end;
                return if whole { Ok(None) } else { Err(RecvError::HalfLine) };
            }
        }
    }

    /// Takes one line out of the inbox, without its newline.
    fn line(&mut self) -> Result<Option<&[u8]>, RecvError> {
        let unseen = &self.inbox[self.scanned..self.end];
        let newline = unseen.iter().position(|&byte| byte == b'\n');
        let end = newline.map_or(self.end, |at| self.scanned + at);
        if end - self.start > MAX_MESSAGE {
            return Err(RecvError::TooLong);
        }
        self.scanned = end;
        if newline.is_none() {
            return Ok(None);
        }
        self.last_line = self.taken;
        self.taken += (end + 1 - self.start) as u64;
        let line = self.start..end;
        self.start = end + 1;
        self.scanned = self.start;
        Ok(Some(&self.inbox[line]))
    }

    /// Reads once. 0 at the end of the stream.
    fn fill(&mut self) -> Result<usize, RecvError> {
        self.make_room();
        let read = retry(|| self.stream.read(&mut self.inbox[self.end..]));
        self.end += *read.as_ref().unwrap_or(&0);
        match read {
            // A peer that dies with something unread resets the connection (unix(7)): no more
            // will come, and that is all that the end of a stream means.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(0),
            read => read.map_err(RecvError::Io),
        }
    }

    /// Makes room for a read: half a line goes to the front, and what a long one took is given back.
    fn make_room(&mut self) {
        self.inbox.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.scanned -= self.start;
        self.start = 0;
        if self.end + CHUNK > self.inbox.len() {
            self.inbox.resize((2 * self.end).max(CHUNK) + CHUNK, 0);
        } else if self.end == 0 && self.inbox.len() > 16 * CHUNK {
            self.inbox = vec![0; 2 * CHUNK];
        }
    }
}

impl<S: Write> Channel<S> {
    /// Queues `message` and writes what the stream takes: on a blocking stream, it blocks until all of
    /// it is written. Like Node's `process.send()`.
    ///
    /// `Ok` does not mean that the other side has read it, or ever will.
    ///
    /// # Errors
    /// - [`SendError::TooLong`]: the other side would refuse it. Nothing was queued.
    /// - [`SendError::Full`]: more than 16 MiB wait already. Nothing was queued.
    /// - [`SendError::Io`]: the stream is broken, most often because the other side has closed it.
    pub fn send(&mut self, message: &Value) -> Result<(), SendError> {
        self.send_line(&Line::new(message)?)
    }

    /// As [`send`](Channel::send), for a message that is a line already.
    ///
    /// # Errors
    /// As [`send`](Channel::send).
    pub fn send_line(&mut self, line: &Line) -> Result<(), SendError> {
        if self.unsent() > MAX_MESSAGE {
            return Err(SendError::Full);
        }
        self.enqueue(line);
        self.flush().map(drop).map_err(SendError::Io)
    }

    /// Queues `line`, however much waits already, and writes nothing: [`flush`](Channel::flush)
    /// does.
    pub fn enqueue(&mut self, line: &Line) {
        self.outbox.extend_from_slice(&line.0);
    }

    /// Writes what is queued. `Ok(true)`: all of it is with the kernel now. `Ok(false)`: the
    /// non-blocking stream takes no more; wait for `POLLOUT`.
    ///
    /// # Errors
    /// Those of write(2). `BrokenPipe`: the other side has closed, but may have left something to
    /// read.
    pub fn flush(&mut self) -> io::Result<bool> {
        while self.unsent() > 0 {
            match retry(|| self.stream.write(&self.outbox[self.sent..])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.sent += written;
                    self.flushed += written as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.outbox.drain(..self.sent);
                    self.sent = 0;
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.outbox.clear();
        self.sent = 0;
        Ok(true)
    }
}

/// Repeats a system call that a signal has interrupted (signal(7), `EINTR`).
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
