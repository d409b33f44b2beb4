//! Solution.

use std::collections::VecDeque;

/// What is wrong with a stream, or with a frame of it. Leave this as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// The length of a frame is over the limit. Nothing more can be decoded.
    TooLong,
    /// A frame's text is not UTF-8. This does not affect the frames after it.
    NotText,
    /// The stream has ended in the middle of a frame.
    HalfFrame,
}

// ANCHOR: decoder
/// Finds the frames of a stream that arrives in pieces, wherever it was cut.
///
/// A frame is four bytes, the length of its text in bytes, the most significant
/// byte first; and then the text in UTF-8.
pub struct Decoder {
    /// The longest text that is allowed, in bytes.
    limit: usize,
    /// What has arrived after the last frame that was taken: bytes, because a
    /// character may be cut in two. A `VecDeque`, because bytes are removed at the
    /// front.
    bytes: VecDeque<u8>,
}

/// How many bytes the length has.
const HEADER: usize = 4;
// ANCHOR_END: decoder

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(limit: usize) -> Decoder {
        Decoder { limit, bytes: VecDeque::new() }
    }

    // ANCHOR: methods
    /// Takes the next piece of the stream. It may have any length.
    pub fn push(&mut self, piece: &[u8]) {
        self.bytes.extend(piece);
    }

    /// The length of the text that is arriving, once its four bytes are there.
    fn length(&self) -> Result<Option<usize>, Broken> {
        let mut header = [0; HEADER];
        for (place, byte) in header.iter_mut().enumerate() {
            match self.bytes.get(place) {
                Some(arrived) => *byte = *arrived,
                None => return Ok(None),
            }
        }
        let length = u32::from_be_bytes(header) as usize;
        if length > self.limit { Err(Broken::TooLong) } else { Ok(Some(length)) }
    }

    /// The text of the next frame that is whole; `Ok(None)` if there is none yet.
    /// Each frame is returned once, in the order of the stream.
    ///
    /// # Errors
    /// - [`Broken::NotText`]: in place of a text that is not UTF-8. The next call
    ///   returns the frame after it.
    /// - [`Broken::TooLong`]: as soon as the four bytes of a length over the limit
    ///   have arrived, and after all frames before it. From then on, every call
    ///   says so.
    pub fn next_frame(&mut self) -> Result<Option<String>, Broken> {
        match self.length()? {
            Some(length) if self.bytes.len() >= HEADER + length => {
                self.bytes.drain(..HEADER);
                let text = self.bytes.drain(..length).collect();
                String::from_utf8(text).map(Some).map_err(|_| Broken::NotText)
            }
            _ => Ok(None),
        }
    }

    /// Whether the stream may end here. Called when all frames were taken.
    ///
    /// # Errors
    /// [`Broken::HalfFrame`] in the middle of a frame; [`Broken::TooLong`] if
    /// [`next_frame`](Decoder::next_frame) says so.
    pub fn end(&self) -> Result<(), Broken> {
        self.length()?;
        if self.bytes.is_empty() { Ok(()) } else { Err(Broken::HalfFrame) }
    }
    // ANCHOR_END: methods
}
