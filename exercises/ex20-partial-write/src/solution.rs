//! Your part.

use std::io::{self, Write};

/// While more than so many bytes wait, no further request is read from that client.
#[allow(dead_code)] // The stub does not use it yet.
pub const LIMIT: usize = 64 << 10;

/// What one client has still to get. Each connection has one.
pub struct Output {
    // The fields are yours.
}

impl Output {
    /// Nothing waits.
    pub fn new() -> Output {
        todo!("nothing waits")
    }

    /// These bytes are written after all that wait already.
    pub fn push(&mut self, bytes: &[u8]) {
        todo!("{} bytes more", bytes.len())
    }

    /// Writes until nothing waits, or until `stream` takes no more. It does not block:
    /// the kernel takes as many bytes as it has room for (write(2)), and says
    /// `WouldBlock` if it has none. That is no error; the loop calls again when there
    /// is room. Neither is `Interrupted`.
    ///
    /// The bytes arrive in their order, each once, whatever `stream` takes at a time.
    /// When nothing waits any more, no memory is kept for it.
    ///
    /// # Errors
    /// All others: the connection is closed then. If `stream` takes 0 bytes, it will
    /// never take more: `WriteZero`.
    pub fn write_to(&mut self, stream: &mut impl Write) -> io::Result<()> {
        let _ = stream;
        todo!("write what waits")
    }

    /// Whether the loop shall call [`write_to`](Output::write_to) when the kernel has
    /// room. As long as it has, it calls again and again.
    pub fn wants_write(&self) -> bool {
        todo!("does the client have to get anything?")
    }

    /// Whether further requests shall be read: not while more than [`LIMIT`] bytes
    /// wait.
    pub fn wants_read(&self) -> bool {
        todo!("is there room for another answer?")
    }
}
