//! Solution.

use std::collections::VecDeque;
use std::mem;

/// What is wrong with a stream, or with a line of it. Leave this as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A line is longer than the limit. Nothing more can be made of this stream.
    TooLong,
    /// One line is not UTF-8. The lines after it are not touched by that.
    NotText,
    /// The stream has ended in the middle of a line.
    HalfLine,
}

// ANCHOR: decoder
/// Makes lines of a stream that comes in pieces, however it was cut.
///
/// A line is what stands before a newline, without it. Nothing else is taken away: a line may be
/// empty, and may begin or end with spaces or `\r`.
pub struct Decoder {
    /// The longest line, in bytes, its newline not counted.
    limit: usize,
    /// What has come of the line that is not whole yet: bytes, for a character may be cut in two.
    half: Vec<u8>,
    /// The lines that are whole, until somebody asks for them.
    whole: VecDeque<Vec<u8>>,
    too_long: bool,
}
// ANCHOR_END: decoder

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(limit: usize) -> Decoder {
        Decoder { limit, half: Vec::new(), whole: VecDeque::new(), too_long: false }
    }

    // ANCHOR: push
    /// Takes the next piece of the stream. It may be of any length.
    pub fn push(&mut self, piece: &[u8]) {
        // Each byte is looked at here, once, and never again.
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let line_end = part.strip_suffix(b"\n");
            self.half.extend_from_slice(line_end.unwrap_or(part));
            self.too_long |= self.half.len() > self.limit;
            if self.too_long {
                // What comes now is of no use to anybody: none of it is kept.
                self.half = Vec::new();
                return;
            }
            if line_end.is_some() {
                self.whole.push_back(mem::take(&mut self.half));
            }
        }
    }
    // ANCHOR_END: push

    // ANCHOR: next_line
    /// The next line that is whole; `Ok(None)` if there is none yet. Each line comes once, and in the
    /// order of the stream.
    ///
    /// # Errors
    /// - [`Broken::NotText`]: in place of a line that is not UTF-8. The next call goes on behind it.
    /// - [`Broken::TooLong`]: as soon as more than the limit has come without a newline, behind
    ///   all lines before it. From then on, every call says so.
    pub fn next_line(&mut self) -> Result<Option<String>, Broken> {
        match self.whole.pop_front() {
            Some(line) => {
                String::from_utf8(line).map(Some).map_err(|_| Broken::NotText)
            }
            None if self.too_long => Err(Broken::TooLong),
            None => Ok(None),
        }
    }

    /// Whether the stream may end here. Called when all lines were taken.
    ///
    /// # Errors
    /// [`Broken::HalfLine`] in the middle of a line; [`Broken::TooLong`] if it was said before.
    pub fn end(&self) -> Result<(), Broken> {
        match self.half.is_empty() {
            _ if self.too_long => Err(Broken::TooLong),
            true => Ok(()),
            false => Err(Broken::HalfLine),
        }
    }
    // ANCHOR_END: next_line
}
