//! Bytes that have arrived, until they are whole lines.

use std::{
    io::{ErrorKind, Read},
    ops::Range,
};

use super::retry;
use crate::{MAX_MESSAGE, RecvError};

/// How much is asked of the stream at once, in bytes. Node asks for as much.
const CHUNK: usize = 64 << 10;

/// What was read and not taken yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    /// What has arrived is `start..end`. The rest is room to read into: to make that anew for each
    /// read would cost more than the read.
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// There is no newline before this.
    scanned: usize,
    /// All bytes that were ever taken, and where in the stream the last line began.
    taken: u64,
    line_began: u64,
}

impl Inbox {
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    pub fn last_line(&self) -> Range<u64> {
        self.line_began..self.taken
    }

    // ANCHOR: next_line
    /// Takes one line, without its newline; `None` if none is whole.
    pub fn next_line(&mut self) -> Result<Option<&[u8]>, RecvError> {
        let unseen = &self.bytes[self.scanned..self.end];
        let newline = unseen.iter().position(|&byte| byte == b'\n');
        let line_end = newline.map_or(self.end, |at| self.scanned + at);
        if line_end - self.start > MAX_MESSAGE {
            return Err(RecvError::TooLong);
        }
        self.scanned = line_end;
        if newline.is_none() {
            return Ok(None);
        }
        let line = self.start..line_end;
        self.start = line_end + 1;
        self.scanned = self.start;
        self.line_began = self.taken;
        self.taken += line.len() as u64 + 1;
        Ok(Some(&self.bytes[line]))
    }
    // ANCHOR_END: next_line

    /// Reads once. 0 at the end of the stream.
    pub fn fill(&mut self, stream: &mut impl Read) -> Result<usize, RecvError> {
        self.make_room();
        match retry(|| stream.read(&mut self.bytes[self.end..])) {
            Ok(read) => {
                self.end += read;
                Ok(read)
            }
            // A peer that dies with something unread resets the connection (unix(7)): no more will
            // come, and that is all that the end of a stream means.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(0),
            Err(error) => Err(RecvError::Io(error)),
        }
    }

    /// Half a line goes to the front. What a long one took is given back.
    fn make_room(&mut self) {
        self.bytes.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.scanned -= self.start;
        self.start = 0;
        if self.end + CHUNK > self.bytes.len() {
            self.bytes.resize(2 * self.end + CHUNK, 0);
        } else if self.end == 0 && self.bytes.len() > 16 * CHUNK {
            self.bytes = vec![0; CHUNK];
        }
    }
}
