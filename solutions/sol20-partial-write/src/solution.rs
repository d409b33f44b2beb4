//! The solution.

use std::io::{self, ErrorKind, Write};

/// While more than so many bytes wait, no further request is read from that client.
pub const LIMIT: usize = 64 << 10;

// ANCHOR: output
/// What one client has still to get.
pub struct Output {
    bytes: Vec<u8>,
    /// So many of them are written.
    written: usize,
}
// ANCHOR_END: output

impl Output {
    // ANCHOR: push
    /// Nothing waits.
    pub fn new() -> Output {
        Output { bytes: Vec::new(), written: 0 }
    }

    /// These bytes are written after all that wait already.
    pub fn push(&mut self, bytes: &[u8]) {
        // What is written goes only when it is more than what waits: so each byte is
        // moved once at most, on average.
        if self.written > self.waiting() {
            self.bytes.drain(..self.written);
            self.written = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn waiting(&self) -> usize {
        self.bytes.len() - self.written
    }
    // ANCHOR_END: push

    // ANCHOR: write
    /// Writes until nothing waits, or until `stream` takes no more.
    pub fn write_to(&mut self, stream: &mut impl Write) -> io::Result<()> {
        while self.wants_write() {
            match stream.write(&self.bytes[self.written..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        *self = Output::new();
        Ok(())
    }
    // ANCHOR_END: write

    // ANCHOR: wants
    /// Whether the loop shall wait until the kernel has room.
    pub fn wants_write(&self) -> bool {
        self.waiting() > 0
    }

    /// Whether further requests shall be read.
    pub fn wants_read(&self) -> bool {
        self.waiting() <= LIMIT
    }
    // ANCHOR_END: wants
}
