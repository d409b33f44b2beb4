//! Messages on a stream of bytes.
//!
//! A stream has no messages, only bytes: what was written in two pieces may be read in one, or in
//! five. So each message ends with a newline, as in Node, and [`Channel`] puts the pieces together.

mod inbox;
mod outbox;

use std::{
    io::{self, Read, Write},
    ops::Range,
};

use serde_json::Value;

use crate::{Line, MAX_MESSAGE, RecvError, SendError};
use inbox::Inbox;
use outbox::Outbox;

// ANCHOR: channel
/// Sends and receives JSON values over a stream, one a line.
///
/// It blocks if the stream does. On a non-blocking stream, what the other side does not take yet is
/// kept: call [`flush`](Channel::flush) when poll(2) says that the stream is writable.
#[derive(Debug)]
pub struct Channel<S> {
    stream: S,
    inbox: Inbox,
    outbox: Outbox,
}
// ANCHOR_END: channel

impl<S> Channel<S> {
    /// A channel over `stream`, which must be connected.
    pub fn new(stream: S) -> Channel<S> {
        Channel { stream, inbox: Inbox::default(), outbox: Outbox::default() }
    }

    /// The stream below.
    pub fn stream(&self) -> &S {
        &self.stream
    }

    /// The stream below. What is read or written here bypasses the channel.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Which bytes of the stream the last line was, its newline included: the first byte ever read is
    /// number 0. Chapter 2 matches it with what came beside these bytes.
    pub fn last_line(&self) -> Range<u64> {
        self.inbox.last_line()
    }

    /// Bytes that are queued and that the kernel has not taken. More than 0: wait for `POLLOUT` too.
    pub fn unsent(&self) -> usize {
        self.outbox.unsent()
    }

    /// Bytes that the kernel has taken, since the channel was made. Chapter 2 uses it to know when an
    /// acknowledgement has left.
    pub fn flushed(&self) -> u64 {
        self.outbox.flushed()
    }

    /// Bytes that were queued since the channel was made: what [`flushed`](Channel::flushed) will
    /// be when all of them have left.
    pub fn queued(&self) -> u64 {
        self.flushed() + self.unsent() as u64
    }
}

impl<S: Read> Channel<S> {
    // ANCHOR: recv
    /// The next message. `Ok(None)` at the end of the stream, when the other side has closed it.
    ///
    /// Blocks until a whole line is there, if the stream blocks.
    ///
    /// # Errors
    /// - [`RecvError::Io`] with `WouldBlock`: nothing whole has arrived on a non-blocking stream;
    ///   half a line is kept. Wait in poll(2) only after this: several messages may have arrived in
    ///   one read, and poll(2) does not see those that are held here.
    /// - [`RecvError::Json`]: one line is not JSON. It is skipped; the next call reads the line after
    ///   it.
    /// - [`RecvError::TooLong`] and [`RecvError::HalfLine`]: nothing more can be made of this
    ///   stream. Drop the channel.
    pub fn recv(&mut self) -> Result<Option<Value>, RecvError> {
        loop {
            if let Some(line) = self.inbox.next_line()? {
                return serde_json::from_slice(line)
                    .map(Some)
                    .map_err(RecvError::Json);
            }
            if self.inbox.fill(&mut self.stream)? == 0 {
                return if self.inbox.is_empty() {
                    Ok(None)
                } else {
                    Err(RecvError::HalfLine)
                };
            }
        }
    }
    // ANCHOR_END: recv
}

impl<S: Write> Channel<S> {
    // ANCHOR: send
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
    // ANCHOR_END: send

    /// Queues `line`, however much waits already, and writes nothing: [`flush`](Channel::flush)
    /// does.
    pub fn enqueue(&mut self, line: &Line) {
        self.outbox.push(&line.0);
    }

    /// Writes what is queued. `Ok(true)`: all of it is with the kernel now. `Ok(false)`: the
    /// non-blocking stream takes no more; wait for `POLLOUT`.
    ///
    /// # Errors
    /// Those of write(2). `BrokenPipe`: the other side has closed, but may have left something to
    /// read.
    pub fn flush(&mut self) -> io::Result<bool> {
        self.outbox.flush(&mut self.stream)
    }
}

// ANCHOR: retry
/// Repeats a system call that a signal has interrupted (signal(7), `EINTR`).
fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
// ANCHOR_END: retry
