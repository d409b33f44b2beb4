//! What a message is, and what can be wrong with one.

use std::{
    error::Error,
    fmt,
    io::{self, ErrorKind},
};

use cli::reason;
use serde_json::Value;

/// The longest message, in bytes, its newline not counted: 16 MiB.
///
/// Without a bound, a child that never writes a newline would eat its parent's memory.
pub const MAX_MESSAGE: usize = 16 << 20;

/// A message as it goes over the stream: JSON and a newline.
#[derive(Debug, Clone)]
pub struct Line(pub(crate) Vec<u8>);

impl Line {
    /// Puts `message` into one line. Its only newline is its last byte: serde_json writes no white
    /// space, and in a string a newline is `\n`.
    ///
    /// # Errors
    /// [`SendError::TooLong`].
    pub fn new(message: &Value) -> Result<Line, SendError> {
        let mut bytes =
            serde_json::to_vec(message).expect("a Value is always JSON");
        if bytes.len() > MAX_MESSAGE {
            return Err(SendError::TooLong);
        }
        bytes.push(b'\n');
        Ok(Line(bytes))
    }

    /// The message again; null for one that is nested deeper than 128, which no receiver here reads.
    pub fn message(&self) -> Value {
        serde_json::from_slice(&self.0).unwrap_or_default()
    }

    /// Its length in bytes, with the newline.
    #[expect(
        clippy::len_without_is_empty,
        reason = "a line has at least its newline"
    )]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether `message` is the transport's own business: an object whose `cmd` begins with `NODE_`.
/// Node never shows these to the program, and neither do we.
pub fn is_internal(message: &Value) -> bool {
    message
        .get("cmd")
        .and_then(Value::as_str)
        .is_some_and(|cmd| cmd.starts_with("NODE_"))
}

/// Why no message came.
#[derive(Debug)]
pub enum RecvError {
    /// The stream cannot be read, or not now.
    Io(io::Error),
    /// A line that is not JSON.
    Json(serde_json::Error),
    /// A line of more than [`MAX_MESSAGE`] bytes.
    TooLong,
    /// The stream ended in the middle of a line.
    HalfLine,
}

impl RecvError {
    /// Nothing is wrong: there is nothing to read yet.
    pub fn would_block(&self) -> bool {
        matches!(self, RecvError::Io(error) if error.kind() == ErrorKind::WouldBlock)
    }
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Io(error) => {
                write!(f, "cannot read from the channel: {}", reason(error))
            }
            RecvError::Json(error) => {
                write!(f, "a line on the channel is not JSON: {error}")
            }
            RecvError::TooLong => {
                f.write_str("a line on the channel is longer than 16 MiB")
            }
            RecvError::HalfLine => {
                f.write_str("the channel ended in the middle of a line")
            }
        }
    }
}

impl Error for RecvError {}

/// Why a message was not sent.
#[derive(Debug)]
pub enum SendError {
    /// The stream cannot be written.
    Io(io::Error),
    /// The message is longer than [`MAX_MESSAGE`].
    TooLong,
    /// The other side does not read, and enough waits for it already.
    Full,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Io(error) => {
                write!(f, "cannot write to the channel: {}", reason(error))
            }
            SendError::TooLong => f.write_str("the message is longer than 16 MiB"),
            SendError::Full => {
                f.write_str("the channel is full: the other side does not read")
            }
        }
    }
}

impl Error for SendError {}
