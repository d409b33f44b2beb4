//! Reads HTTP/1 responses from a stream, without copying: the load client reads a
//! million.

use std::io::{self, Error, ErrorKind, Read};
use std::ops::Range;

/// The longest head of a response.
const MAX_HEAD: usize = 64 * 1024;

/// Where in the buffer the parts of a response are.
pub(crate) struct Message {
    pub status: u16,
    /// The status line and the header lines, without the empty line.
    pub head: Range<usize>,
    /// The body, without the sizes of its chunks.
    pub body: Range<usize>,
    /// Where the next response begins.
    pub end: usize,
    /// Whether the server closes the connection after this response.
    pub close: bool,
}

/// Reads one whole response into `buffer`, which may hold its first bytes already.
/// The caller removes `..end` from the buffer afterwards.
pub(crate) fn read_response(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
) -> io::Result<Message> {
    let mut searched = 0;
    let head = loop {
        if let Some(at) = find(&buffer[searched..], b"\r\n\r\n") {
            break 0..searched + at;
        }
        if buffer.len() > MAX_HEAD {
            return Err(invalid("no end of the head in 64 KiB"));
        }
        searched = buffer.len().saturating_sub(3);
        if fill(stream, buffer)? == 0 {
            return Err(match buffer.len() {
                0 => eof("EOF before the first byte of a response"),
                n => eof(&format!("EOF in the head, after {n} bytes")),
            });
        }
    };
    let start = head.end + 4;
    let parsed = parse_head(&buffer[head.clone()])?;
    let (body, end) = match parsed.framing {
        Framing::Length(length) => {
            // An absurd length is an incomplete response, not an overflow.
            let end = start.saturating_add(length);
            need(stream, buffer, end)?;
            (start..end, end)
        }
        Framing::Chunked => read_chunks(stream, buffer, start)?,
        Framing::EndOfStream => {
            while fill(stream, buffer)? > 0 {}
            (start..buffer.len(), buffer.len())
        }
    };
    Ok(Message { status: parsed.status, head, body, end, close: parsed.close })
}

/// Reads once and appends to `buffer`; returns how many bytes, 0 at EOF.
pub(crate) fn fill(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
) -> io::Result<usize> {
    let old = buffer.len();
    buffer.resize(old + 4096, 0);
    let result = loop {
        match stream.read(&mut buffer[old..]) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // A socket's time-out on Linux (socket(7)).
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                break Err(Error::new(
                    ErrorKind::TimedOut,
                    "timed out: neither a byte nor EOF",
                ));
            }
            other => break other,
        }
    };
    buffer.truncate(old + result.as_ref().copied().unwrap_or(0));
    result
}

enum Framing {
    Length(usize),
    Chunked,
    EndOfStream,
}

struct Head {
    status: u16,
    framing: Framing,
    close: bool,
}

fn parse_head(head: &[u8]) -> io::Result<Head> {
    let head =
        std::str::from_utf8(head).map_err(|_| invalid("the head is not UTF-8"))?;
    let mut lines = head.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let mut words = first.split(' ');
    let version = words.next().filter(|v| v.starts_with("HTTP/1."));
    let status = words.next().filter(|s| s.len() == 3).and_then(|s| s.parse().ok());
    let (Some(version), Some(status)) = (version, status) else {
        return Err(invalid(&format!("not a status line: {first:?}")));
    };
    let mut close = version == "HTTP/1.0";
    let mut framing = Framing::EndOfStream;
    for line in lines {
        let (name, value) = split_header(line)?;
        if name.eq_ignore_ascii_case("connection") {
            close = !value.eq_ignore_ascii_case("keep-alive")
                && (close || value.eq_ignore_ascii_case("close"));
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if name.eq_ignore_ascii_case("content-length")
            && !matches!(framing, Framing::Chunked)
        {
            framing = Framing::Length(
                value.parse().map_err(|_| invalid("bad Content-Length"))?,
            );
        }
    }
    if matches!(status, 100..=199 | 204 | 304) {
        framing = Framing::Length(0);
    }
    close |= matches!(framing, Framing::EndOfStream);
    Ok(Head { status, framing, close })
}

/// Splits a header line into name and value.
pub(crate) fn split_header(line: &str) -> io::Result<(&str, &str)> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| invalid(&format!("not a header: {line:?}")))?;
    Ok((name, value.trim()))
}

/// Removes the sizes of the chunks, in place. Returns where the body is, and where
/// the next response begins.
fn read_chunks(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
    start: usize,
) -> io::Result<(Range<usize>, usize)> {
    let (mut at, mut end) = (start, start);
    loop {
        let line = read_line(stream, buffer, at)?;
        let text = std::str::from_utf8(&buffer[at..line]).unwrap_or_default();
        let digits = text.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(digits, 16)
            .map_err(|_| invalid(&format!("not a chunk size: {text:?}")))?;
        at = line + 2;
        if size == 0 {
            break;
        }
        need(stream, buffer, at.saturating_add(size).saturating_add(2))?;
        if &buffer[at + size..at + size + 2] != b"\r\n" {
            return Err(invalid("no line end after a chunk"));
        }
        buffer.copy_within(at..at + size, end);
        end += size;
        at += size + 2;
    }
    // Trailers, up to the empty line.
    loop {
        let line = read_line(stream, buffer, at)?;
        let empty = line == at;
        at = line + 2;
        if empty {
            return Ok((start..end, at));
        }
    }
}

/// Reads until a whole line is at `at`; returns where it ends.
fn read_line(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
    at: usize,
) -> io::Result<usize> {
    loop {
        if let Some(length) = find(&buffer[at..], b"\r\n") {
            return Ok(at + length);
        }
        if fill(stream, buffer)? == 0 {
            return Err(eof("EOF in a chunked body"));
        }
    }
}

/// Reads until `buffer` has `length` bytes.
fn need(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
    length: usize,
) -> io::Result<()> {
    while buffer.len() < length {
        if fill(stream, buffer)? == 0 {
            let missing = length - buffer.len();
            return Err(eof(&format!("EOF in the body, {missing} bytes missing")));
        }
    }
    Ok(())
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

fn eof(what: &str) -> Error {
    Error::new(ErrorKind::UnexpectedEof, what)
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
