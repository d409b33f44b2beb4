//! Your part.

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

/// Makes lines of a stream that comes in pieces, however it was cut.
///
/// A line is what stands before a newline, without it. Nothing else is taken away: a line may be
/// empty, and may begin or end with spaces or `\r`.
pub struct Decoder {
    /// The longest line, in bytes, its newline not counted.
    limit: usize,
}

impl Decoder {
    /// A decoder at the beginning of a stream.
    pub fn new(limit: usize) -> Decoder {
        Decoder { limit }
    }

    /// Takes the next piece of the stream. It may be of any length.
    pub fn push(&mut self, piece: &[u8]) {
        todo!("keep these {} bytes", piece.len())
    }

    /// The next line that is whole; `Ok(None)` if there is none yet. Each line comes once, and in the
    /// order of the stream.
    ///
    /// # Errors
    /// - [`Broken::NotText`]: in place of a line that is not UTF-8. The next call goes on behind it.
    /// - [`Broken::TooLong`]: as soon as more than the limit has come without a newline, behind
    ///   all lines before it. From then on, every call says so.
    pub fn next_line(&mut self) -> Result<Option<String>, Broken> {
        let limit = self.limit;
        todo!(
            "a line of {limit} bytes, or {:?}, or {:?}",
            Broken::TooLong,
            Broken::NotText
        )
    }

    /// Whether the stream may end here. Called when all lines were taken.
    ///
    /// # Errors
    /// [`Broken::HalfLine`] in the middle of a line; [`Broken::TooLong`] if it was said before.
    pub fn end(&self) -> Result<(), Broken> {
        todo!("the end, or {:?}", Broken::HalfLine)
    }
}
