//! Bytes that are to leave, until the kernel takes them.

use std::io::{self, ErrorKind, Write};

use super::retry;

/// What was queued and not written yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// What has not left begins at `written`.
    bytes: Vec<u8>,
    written: usize,
    /// All bytes that the kernel has ever taken.
    flushed: u64,
}

impl Outbox {
    pub fn unsent(&self) -> usize {
        self.bytes.len() - self.written
    }

    pub fn flushed(&self) -> u64 {
        self.flushed
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Writes as much as the stream takes; true if that was all.
    pub fn flush(&mut self, stream: &mut impl Write) -> io::Result<bool> {
        while self.unsent() > 0 {
            match retry(|| stream.write(&self.bytes[self.written..])) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    self.written += written;
                    self.flushed += written as u64;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Not each time: what is left may be long, and it is moved.
                    if self.written > self.bytes.len() / 2 {
                        self.bytes.drain(..self.written);
                        self.written = 0;
                    }
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.bytes.clear();
        self.bytes.shrink_to(64 << 10);
        self.written = 0;
        Ok(true)
    }
}
