//! What the tests of chapter 1 share.

#![allow(dead_code)] // Each test program uses its part of this.

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use ch01_fork_ipc::{Channel, RecvError};
use serde_json::Value;
use testkit::Program;

/// Far more than anything here takes: a busy machine must not decide a verdict.
pub const LONG: Duration = Duration::from_secs(20);

/// The chapter's program.
pub fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch01-fork-ipc"))
        .env_remove("NODE_CHANNEL_FD")
        .env_remove("NODE_CHANNEL_SERIALIZATION_MODE")
}

/// One thing that a read can come to.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes, or as many of them as were asked for.
    Bytes(Vec<u8>),
    /// Nothing yet; or a signal; or the peer has died with something unread.
    Fails(ErrorKind),
}

/// A stream that gives the steps one after another, and then its end. It counts what is taken.
#[derive(Debug, Default)]
pub struct Script {
    steps: VecDeque<Step>,
    pub taken: usize,
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Script {
        // A read of no bytes would be the end of the stream.
        let empty =
            |step: &Step| matches!(step, Step::Bytes(bytes) if bytes.is_empty());
        Script {
            steps: steps.into_iter().filter(|step| !empty(step)).collect(),
            taken: 0,
        }
    }

    /// One step for each of `pieces`.
    pub fn pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Script {
        Script::new(pieces.into_iter().map(|piece| Step::Bytes(piece.to_vec())))
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.steps.pop_front() {
            None => Ok(0),
            Some(Step::Fails(kind)) => Err(kind.into()),
            Some(Step::Bytes(mut bytes)) => {
                let rest = bytes.split_off(buffer.len().min(bytes.len()));
                if !rest.is_empty() {
                    self.steps.push_front(Step::Bytes(rest));
                }
                buffer[..bytes.len()].copy_from_slice(&bytes);
                self.taken += bytes.len();
                Ok(bytes.len())
            }
        }
    }
}

/// What a call to `recv` came to, in a form that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Got {
    Message(Value),
    NotJson,
    TooLong,
    HalfLine,
    End,
}

/// The next that comes; waits out every `WouldBlock`.
pub fn got<S: Read>(channel: &mut Channel<S>) -> Got {
    loop {
        return match channel.recv() {
            Ok(Some(message)) => Got::Message(message),
            Ok(None) => Got::End,
            Err(error) if error.would_block() => continue,
            Err(RecvError::Json(_)) => Got::NotJson,
            Err(RecvError::TooLong) => Got::TooLong,
            Err(RecvError::HalfLine) => Got::HalfLine,
            Err(RecvError::Io(error)) => panic!("the stream failed: {error}"),
        };
    }
}

/// A channel to a peer, and the peer's bare stream. Neither waits for ever.
pub fn channel_and_peer() -> (Channel<UnixStream>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    for stream in [&ours, &theirs] {
        patient(stream);
    }
    (Channel::new(ours), theirs)
}

/// A test that hangs says less than one that fails.
pub fn patient(stream: &UnixStream) {
    stream.set_read_timeout(Some(LONG)).expect("a time-out");
    stream.set_write_timeout(Some(LONG)).expect("a time-out");
}

/// The next message, which must be one.
#[track_caller]
pub fn message<S: Read>(channel: &mut Channel<S>) -> Value {
    match channel.recv() {
        Ok(Some(message)) => message,
        other => panic!("a message should have come, not {other:?}"),
    }
}

/// Writes `bytes`, `times` times; stops where the other side is gone.
pub fn pour(mut stream: impl Write, bytes: &[u8], times: usize) -> usize {
    (0..times).take_while(|_| stream.write_all(bytes).is_ok()).count()
}
