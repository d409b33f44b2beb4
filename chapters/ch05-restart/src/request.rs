// ANCHOR: top
//! HTTP, as far as a worker needs it: parses a request's head, prints a response.

use httparse::{EMPTY_HEADER, Error, Status};
// ANCHOR_END: top

// ANCHOR: types
/// The longest head of a request, in bytes. Node has the same limit.
pub const MAX_HEAD: usize = 16 << 10;

/// The most header fields in a request.
pub const MAX_HEADERS: usize = 100;

/// A request. Its body, if it has one, is discarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// `GET`, `HEAD`, …
    pub method: String,
    /// The path and the query, as in the request line. Node's `req.url`.
    pub path: String,
}

/// A response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status code and its reason, such as `200 OK`.
    pub status: &'static str,
    /// What the body is, such as `text/plain`.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}
// ANCHOR_END: types

impl Request {
    // ANCHOR: parse
    /// Parses the head at the start of `bytes`. `None`: it is not complete yet.
    ///
    /// # Errors
    /// The response to a request that this server does not accept: 400 if it is
    /// malformed, 431 if its head has more than 16 KiB or 100 fields, 501 if it
    /// needs what is not implemented here.
    pub fn parse(bytes: &[u8]) -> Result<Option<Request>, Response> {
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let length = parse_head(&mut head, bytes)?;
        length.map(|_| Request::new(&head)).transpose()
    }
    // ANCHOR_END: parse

    // ANCHOR: new
    /// A request with this head.
    ///
    /// # Errors
    /// As [`parse`](Request::parse): 400 or 501.
    pub fn new(head: &httparse::Request) -> Result<Request, Response> {
        check(head).map_err(Response::new)?;
        Ok(Request {
            method: head.method.unwrap_or_default().to_owned(),
            path: head.path.unwrap_or_default().to_owned(),
        })
    }
    // ANCHOR_END: new
}

// ANCHOR: parse_head
/// Parses the head at the start of `bytes`, and returns its length in bytes. `None`:
/// it is not complete yet.
///
/// # Errors
/// The response 400 or 431, as [`Request::parse`].
pub fn parse_head<'b>(
    head: &mut httparse::Request<'_, 'b>,
    bytes: &'b [u8],
) -> Result<Option<usize>, Response> {
    match head.parse(bytes) {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => Ok(Some(length)),
        Ok(Status::Partial) if bytes.len() < MAX_HEAD => Ok(None),
        Ok(_) | Err(Error::TooManyHeaders) => {
            Err(Response::new("431 Request Header Fields Too Large"))
        }
        Err(_) => Err(Response::new("400 Bad Request")),
    }
}
// ANCHOR_END: parse_head

// ANCHOR: check
/// Checks what RFC 9112 requires of a head beyond its syntax. Returns the status of
/// the response if it must be refused.
fn check(head: &httparse::Request) -> Result<(), &'static str> {
    // Section 3.2: exactly one Host, a valid one; HTTP/1.0 did not know it.
    let hosts = values(head, "Host").count();
    let is_missing = hosts == 0 && head.version == Some(1);
    if hosts > 1 || is_missing || !values(head, "Host").all(is_host) {
        return Err("400 Bad Request");
    }
    // Section 6: two lengths, or a wrong one, can hide a second request.
    let mut lengths = values(head, "Content-Length").map(parse_length);
    let length = lengths.next();
    let codings: Vec<&[u8]> = values(head, "Transfer-Encoding")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .collect();
    let is_wrong = length == Some(None) || lengths.any(|it| Some(it) != length);
    if is_wrong || (length.is_some() && !codings.is_empty()) {
        return Err("400 Bad Request");
    }
    // Section 6.3: without chunked as the last coding, a body has no end.
    let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
    if !codings.last().is_none_or(is_chunked) {
        return Err("400 Bad Request");
    }
    // Section 6.1: a coding that the server does not know. And this is no proxy.
    if codings.len() > 1 || head.method == Some("CONNECT") {
        return Err("501 Not Implemented");
    }
    if !is_target(head.path.unwrap_or_default(), head.method) {
        return Err("400 Bad Request");
    }
    Ok(())
}

/// Whether a request may ask for this (RFC 9112, section 3.2): for a path, a URL, or
/// `*`, the whole server. The part of a URL behind `#` is for the client alone.
fn is_target(target: &str, method: Option<&str>) -> bool {
    let is_url = target.split_once("://").is_some_and(|(scheme, rest)| {
        let is_http =
            ["http", "https"].iter().any(|it| scheme.eq_ignore_ascii_case(it));
        is_http && !rest.is_empty() && !rest.starts_with(['/', '?'])
    });
    let is_star = target == "*" && method == Some("OPTIONS");
    (target.starts_with('/') || is_url || is_star) && !target.contains('#')
}

/// The values of all fields of this name.
pub fn values<'h>(
    head: &'h httparse::Request,
    name: &'h str,
) -> impl Iterator<Item = &'h [u8]> {
    let named = |it: &&httparse::Header| it.name.eq_ignore_ascii_case(name);
    head.headers.iter().filter(named).map(|it| it.value)
}

/// The number in a Content-Length. `None`: it is none.
pub fn parse_length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    // A sign is not allowed here.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether `text` has only characters that a host name, an IP address and a port
/// may have (RFC 3986, 3.2.2).
fn is_host(text: &[u8]) -> bool {
    let is_valid = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
    };
    text.iter().copied().all(is_valid)
}
// ANCHOR_END: check

// ANCHOR: response
impl Response {
    /// A response whose body is its status.
    pub fn new(status: &'static str) -> Response {
        Response::text(status, format!("{status}\n"))
    }

    /// A response of plain text.
    pub fn text(status: &'static str, text: String) -> Response {
        Response { status, content_type: "text/plain", body: text.into() }
    }

    /// Prints the response. `head_only`: without the body, in answer to `HEAD`.
    pub(crate) fn print(&self, head_only: bool) -> Vec<u8> {
        let Response { status, content_type, body } = self;
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        [head.as_bytes(), if head_only { b"" } else { body }].concat()
    }
}
// ANCHOR_END: response
