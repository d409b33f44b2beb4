//! The head of a request, and what follows it.

use tiny_http::{HTTPVersion, Method};

/// The longest head that is read, in bytes: request line and headers. Node has the same limit.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// The most headers in it.
const MAX_HEADERS: usize = 100;

/// A request, as far as an answer needs it.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: Method,
    /// The request-target, as it stands in the request line. Node's `req.url`.
    pub path: String,
    /// 1.0 or 1.1.
    pub version: HTTPVersion,
    /// Whether the client wants to send another request on this connection.
    pub keep_alive: bool,
    /// What comes after the head.
    pub body: Body,
}

/// The body of a request. Nobody looks at it here; it only has to be got past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// So many bytes.
    Length(u64),
    /// Chunks, or bytes that the client sends only if it is asked to (`Expect: 100-continue`). It is
    /// answered at once; what it sends then is read away, and the connection ends.
    Unread,
}

/// Why there is no answer but an error. The numbers are HTTP's (RFC 9110, RFC 6585).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadRequest {
    /// 400: this is not HTTP, or its length is given in two ways.
    Malformed,
    /// 408: the request was not complete in time.
    TooSlow,
    /// 431: the head is longer than 16 KiB, or has more than 100 headers.
    TooLarge,
}

impl BadRequest {
    /// The status code.
    pub fn status(self) -> u16 {
        match self {
            BadRequest::Malformed => 400,
            BadRequest::TooSlow => 408,
            BadRequest::TooLarge => 431,
        }
    }
}

impl Request {
    /// Reads the head at the beginning of `bytes`: the request, and how long its head is. `None` if
    /// the head is not whole yet.
    ///
    /// # Errors
    /// [`BadRequest`] if this will never be a request that can be answered.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, BadRequest> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let length = match head.parse(bytes) {
            Ok(httparse::Status::Complete(length)) if length <= MAX_HEAD => length,
            Ok(httparse::Status::Partial) if bytes.len() < MAX_HEAD => {
                return Ok(None);
            }
            Ok(_) | Err(httparse::Error::TooManyHeaders) => {
                return Err(BadRequest::TooLarge);
            }
            Err(_) => return Err(BadRequest::Malformed),
        };
        let method = head.method.and_then(|method| method.parse().ok());
        let minor = head.version.unwrap_or_default();
        let request = Request {
            method: method.ok_or(BadRequest::Malformed)?,
            path: head.path.unwrap_or_default().to_owned(),
            version: HTTPVersion(1, minor),
            keep_alive: keep_alive(head.headers, minor),
            body: body(head.headers)?,
        };
        Ok(Some((request, length)))
    }
}

/// HTTP/1.1 keeps the connection unless told to close it; HTTP/1.0 closes it unless told to keep it
/// (RFC 9112, 9.3).
fn keep_alive(headers: &[httparse::Header<'_>], minor: u8) -> bool {
    let says = |option| {
        tokens(headers, "Connection")
            .any(|token| token.eq_ignore_ascii_case(option))
    };
    if minor == 0 {
        says(b"keep-alive") && !says(b"close")
    } else {
        !says(b"close")
    }
}

/// How the body is delimited (RFC 9112, 6.3). A request that says so in two ways is refused: to
/// guess wrong would be to take a part of one request for another.
fn body(headers: &[httparse::Header<'_>]) -> Result<Body, BadRequest> {
    let mut lengths = tokens(headers, "Content-Length").map(|token| {
        let digits = token.iter().all(u8::is_ascii_digit);
        let number = std::str::from_utf8(token).ok().filter(|_| digits);
        number.and_then(|number| number.parse().ok()).ok_or(BadRequest::Malformed)
    });
    let length: Option<u64> = lengths.next().transpose()?;
    if lengths.any(|other| other.ok() != length) {
        return Err(BadRequest::Malformed);
    }
    let chunked = tokens(headers, "Transfer-Encoding").next().is_some();
    match length {
        Some(_) if chunked => Err(BadRequest::Malformed),
        _ if chunked || tokens(headers, "Expect").next().is_some() => {
            Ok(Body::Unread)
        }
        length => Ok(Body::Length(length.unwrap_or(0))),
    }
}

/// What stands between the commas of all headers with this name.
fn tokens<'h>(
    headers: &'h [httparse::Header<'h>],
    name: &'h str,
) -> impl Iterator<Item = &'h [u8]> {
    let named =
        headers.iter().filter(move |header| header.name.eq_ignore_ascii_case(name));
    named
        .flat_map(|header| header.value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
}
