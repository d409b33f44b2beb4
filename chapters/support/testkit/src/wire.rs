//! Reading an HTTP/1 answer off a stream, without a copy: the load client does it a million times.

use std::io::{self, Error, ErrorKind, Read};
use std::ops::Range;

/// An answer's head may be this long.
const MAX_HEAD: usize = 64 * 1024;

/// Where in the buffer the parts of an answer are.
pub(crate) struct Message {
    pub status: u16,
    /// The status line and the header lines, without the empty line.
    pub head: Range<usize>,
    /// The body, without any chunk sizes.
    pub body: Range<usize>,
    /// Where the next answer begins.
    pub end: usize,
    /// Whether the connection ends with this answer.
    pub close: bool,
}

/// Reads one whole answer into `buffer`, where the answer before may have left its first bytes.
/// The caller removes `..end` when done with it.
pub(crate) fn read_message(
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
                0 => early("end of stream before the first byte of an answer"),
                n => early(&format!("end of stream in the head, after {n} bytes")),
            });
        }
    };
    let start = head.end + 4;
    let parsed = parse_head(&buffer[head.clone()])?;
    let (body, end) = match parsed.framing {
        Framing::Length(length) => {
            // An absurd length must end as a cut answer, not as an overflow.
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

/// Reads once, at the end of `buffer`; 0 at the end of the stream.
pub(crate) fn fill(
    stream: &mut impl Read,
    buffer: &mut Vec<u8>,
) -> io::Result<usize> {
    let old = buffer.len();
    buffer.resize(old + 4096, 0);
    let result = loop {
        match stream.read(&mut buffer[old..]) {
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            // What a socket's time-out looks like on Linux.
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                break Err(Error::new(
                    ErrorKind::TimedOut,
                    "timed out: no answer, and no end",
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
        let (name, value) = header(line)?;
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
pub(crate) fn header(line: &str) -> io::Result<(&str, &str)> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| invalid(&format!("not a header: {line:?}")))?;
    Ok((name, value.trim()))
}

/// Takes the chunk sizes out, in place: what is left is the body. Returns it and where the next
/// answer begins.
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
    // Trailers, if any, up to the empty line.
    loop {
        let line = read_line(stream, buffer, at)?;
        let empty = line == at;
        at = line + 2;
        if empty {
            return Ok((start..end, at));
        }
    }
}

/// Reads until a whole line stands at `at`; returns where it ends.
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
            return Err(early("end of stream in a chunked body"));
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
            return Err(early(&format!(
                "end of stream in the body, {missing} bytes missing"
            )));
        }
    }
    Ok(())
}

fn find(bytes: &[u8], pattern: &[u8]) -> Option<usize> {
    bytes.windows(pattern.len()).position(|window| window == pattern)
}

fn early(what: &str) -> Error {
    Error::new(ErrorKind::UnexpectedEof, what)
}

fn invalid(what: &str) -> Error {
    Error::new(ErrorKind::InvalidData, what)
}
