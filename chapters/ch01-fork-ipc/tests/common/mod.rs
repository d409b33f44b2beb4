//! What the tests of chapter 1 have in common.

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

/// Far more time than anything here takes: a busy machine must not make a test fail.
pub const LONG: Duration = Duration::from_secs(60);

/// The chapter's program.
pub fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch01-fork-ipc"))
        .env_remove("NODE_CHANNEL_FD")
        .env_remove("NODE_CHANNEL_SERIALIZATION_MODE")
}

/// What one read returns.
#[derive(Debug, Clone)]
pub enum Step {
    /// These bytes, or as many of them as were asked for.
    Bytes(Vec<u8>),
    /// No byte yet; a signal; or a peer that died with unread bytes.
    Fails(ErrorKind),
}

/// A stream that returns the steps one after another, and then its end.
#[derive(Debug, Default)]
pub struct Script {
    steps: VecDeque<Step>,
    /// How many bytes were read.
    pub taken: usize,
}

impl Script {
    pub fn new(steps: impl IntoIterator<Item = Step>) -> Script {
        // A read asks for 64 KiB. A read of no bytes would be the end of the stream.
        let cut = |step| match step {
            Step::Bytes(bytes) => {
                bytes.chunks(64 << 10).map(|it| Step::Bytes(it.to_vec())).collect()
            }
            fails => vec![fails],
        };
        Script { steps: steps.into_iter().flat_map(cut).collect(), taken: 0 }
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

/// What a call to `recv` returned, in a form that can be compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Got {
    Message(Value),
    NotJson,
    TooManyValues,
    TooLong,
    HalfLine,
    End,
}

/// What `recv` returns next; calls again after `WouldBlock`.
pub fn got<S: Read>(channel: &mut Channel<S>) -> Got {
    loop {
        return match channel.recv() {
            Ok(Some(message)) => Got::Message(message),
            Ok(None) => Got::End,
            Err(error) if error.would_block() => continue,
            Err(RecvError::Json(_)) => Got::NotJson,
            Err(RecvError::TooManyValues) => Got::TooManyValues,
            Err(RecvError::TooLong) => Got::TooLong,
            Err(RecvError::HalfLine) => Got::HalfLine,
            Err(RecvError::Io(error)) => panic!("the stream failed: {error}"),
        };
    }
}

/// A channel to a peer, and the peer's bare stream. Neither blocks for ever.
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
        other => panic!("a message should arrive, not {other:?}"),
    }
}

/// Writes `bytes`, `times` times, or until that fails.
pub fn pour(mut stream: impl Write, bytes: &[u8], times: usize) -> usize {
    (0..times).take_while(|_| stream.write_all(bytes).is_ok()).count()
}

/// The most memory that a process has used so far, in KiB (`VmHWM`, proc(5)). `None` once
/// it has exited.
pub fn peak_memory(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
