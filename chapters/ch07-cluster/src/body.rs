// ANCHOR: top
//! The body of a request. It is read to its end and discarded: behind it, the next
//! request begins.

use ch05_restart::MAX_HEAD;
use httparse::{EMPTY_HEADER, Status, parse_chunk_size, parse_headers};
// ANCHOR_END: top

// ANCHOR: body
/// The longest body that is read, in bytes: 256 MiB.
pub const MAX_BODY: u64 = 256 << 20;

/// The longest line with the size of a chunk, and the most fields behind the last one.
const MAX_SIZE_LINE: usize = 4096;
const MAX_TRAILERS: usize = 32;

/// What is left of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks, each with its size in front (RFC 9112, section 7.1).
    Chunked {
        /// What comes next.
        next: Chunk,
        /// How many bytes of body there were so far.
        length: u64,
    },
}

/// The parts of a chunked body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    /// A size, in hexadecimal digits, and a line end.
    Size,
    /// So many bytes of data, and a line end.
    Data(u64),
    /// Fields behind the last chunk, and an empty line.
    Trailers,
    /// The body is complete.
    End,
}
// ANCHOR_END: body

// ANCHOR: bad
/// Why a body cannot be read. The response has this status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadBody(pub &'static str);

const MALFORMED: BadBody = BadBody("400 Bad Request");
const TOO_LARGE: BadBody = BadBody("413 Content Too Large");
// ANCHOR_END: bad

impl Body {
    // ANCHOR: small
    /// A chunked body of which nothing was read.
    pub fn chunked() -> Body {
        Body::Chunked { next: Chunk::Size, length: 0 }
    }

    /// Whether the whole body was read.
    pub fn is_complete(&self) -> bool {
        matches!(self, Body::Length(0) | Body::Chunked { next: Chunk::End, .. })
    }
    // ANCHOR_END: small

    // ANCHOR: discard
    /// Discards the part of the body that is at the start of `input`. Returns how many
    /// bytes that is. The rest of `input` is a part of a line that is not complete, or
    /// lies behind the body.
    ///
    /// # Errors
    /// It is no chunked body, or it is too long.
    pub fn discard(&mut self, input: &[u8]) -> Result<usize, BadBody> {
        let mut used = 0;
        while !self.is_complete() {
            let step = self.step(&input[used..])?;
            if step == 0 {
                break;
            }
            used += step;
        }
        Ok(used)
    }

    /// Discards one part. Returns its length: 0 if more input is needed.
    fn step(&mut self, input: &[u8]) -> Result<usize, BadBody> {
        match self {
            Body::Length(left) => Ok(take(left, input)),
            Body::Chunked { next: next @ Chunk::Size, length } => {
                let Some((line, size)) = size_line(input)? else { return Ok(0) };
                *length = length.saturating_add(size);
                if *length > MAX_BODY {
                    return Err(TOO_LARGE);
                }
                *next = if size == 0 { Chunk::Trailers } else { Chunk::Data(size) };
                Ok(line)
            }
            Body::Chunked { next: next @ Chunk::Data(0), .. } => match input {
                [b'\r', b'\n', ..] => {
                    *next = Chunk::Size;
                    Ok(2)
                }
                [] | [b'\r'] => Ok(0),
                _ => Err(MALFORMED),
            },
            Body::Chunked { next: Chunk::Data(left), .. } => Ok(take(left, input)),
            Body::Chunked { next: next @ Chunk::Trailers, .. } => {
                let mut fields = [EMPTY_HEADER; MAX_TRAILERS];
                match parse_headers(input, &mut fields) {
                    Ok(Status::Complete((length, _))) => {
                        *next = Chunk::End;
                        Ok(length)
                    }
                    Ok(Status::Partial) if input.len() < MAX_HEAD => Ok(0),
                    _ => Err(MALFORMED),
                }
            }
            Body::Chunked { next: Chunk::End, .. } => Ok(0),
        }
    }
    // ANCHOR_END: discard
}

// ANCHOR: size_line
/// The length of the line with the size of a chunk, and that size. `None`: the line is
/// not complete.
///
/// httparse lets a line without a digit pass, and a line feed within an extension. A
/// server that reads these differently would find another end of the request.
fn size_line(input: &[u8]) -> Result<Option<(usize, u64)>, BadBody> {
    let length = input.iter().position(|&it| it == b'\n').map(|it| it + 1);
    let has_digit = input.first().is_none_or(u8::is_ascii_hexdigit);
    match parse_chunk_size(input) {
        Ok(Status::Complete((line, size))) if has_digit && length == Some(line) => {
            Ok(Some((line, size)))
        }
        Ok(Status::Partial) if length.is_none() && input.len() < MAX_SIZE_LINE => {
            Ok(None)
        }
        _ => Err(MALFORMED),
    }
}
// ANCHOR_END: size_line

// ANCHOR: take
/// Takes up to `left` bytes of `input`, and returns how many.
fn take(left: &mut u64, input: &[u8]) -> usize {
    let taken = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    *left -= taken as u64;
    taken
}
// ANCHOR_END: take
