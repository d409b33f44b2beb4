//! Your part.

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

/// Finds the frames of a stream that arrives in pieces, wherever it was cut.
///
/// A frame is four bytes, the length of its text in bytes, the most significant
/// byte first; and then the text in UTF-8.
pub struct Decoder {
    /// The longest text that is allowed, in bytes.
    limit: usize,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(limit: usize) -> Decoder {
        Decoder { limit }
    }

    /// Takes the next piece of the stream. It may have any length.
    pub fn push(&mut self, piece: &[u8]) {
        todo!("keep these {} bytes", piece.len())
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
        let limit = self.limit;
        todo!(
            "a text of {limit} bytes, or {:?}, or {:?}",
            Broken::TooLong,
            Broken::NotText
        )
    }

    /// Whether the stream may end here. Called when all frames were taken.
    ///
    /// # Errors
    /// [`Broken::HalfFrame`] in the middle of a frame; [`Broken::TooLong`] if
    /// [`next_frame`](Decoder::next_frame) says so.
    pub fn end(&self) -> Result<(), Broken> {
        todo!("the end, or {:?}", Broken::HalfFrame)
    }
}
