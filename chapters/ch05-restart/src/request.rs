// ANCHOR: top
//! HTTP, as far as a worker needs it: parses a request's head, prints a response.

use httparse::{EMPTY_HEADER, Error, Status};
// ANCHOR_END: top

// ANCHOR: types
/// The longest head of a request, in bytes. Node has the same limit.
pub(crate) const MAX_HEAD: usize = 16 << 10;

/// The most header fields in a request.
const MAX_HEADERS: usize = 100;

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
        match head.parse(bytes) {
            Ok(Status::Complete(length)) if length <= MAX_HEAD => {
                check(&head).map_err(Response::new)?;
                Ok(Some(Request {
                    method: head.method.unwrap_or_default().to_owned(),
                    path: head.path.unwrap_or_default().to_owned(),
                }))
            }
            Ok(Status::Partial) if bytes.len() < MAX_HEAD => Ok(None),
            Ok(_) | Err(Error::TooManyHeaders) => {
                Err(Response::new("431 Request Header Fields Too Large"))
            }
            Err(_) => Err(Response::new("400 Bad Request")),
        }
    }
    // ANCHOR_END: parse
}

// ANCHOR: check
/// Checks what RFC 9112 requires of a head beyond its syntax. Returns the status of
/// the response if it must be refused.
fn check(head: &httparse::Request) -> Result<(), &'static str> {
    let values = |name: &str| -> Vec<String> {
        let named =
            head.headers.iter().filter(|it| it.name.eq_ignore_ascii_case(name));
        named.map(|it| String::from_utf8_lossy(it.value).to_lowercase()).collect()
    };
    // Section 3.2: exactly one Host, a valid one; HTTP/1.0 did not know it.
    let hosts = values("Host");
    let is_missing = hosts.is_empty() && head.version == Some(1);
    if hosts.len() > 1 || is_missing || !hosts.iter().all(|text| is_host(text)) {
        return Err("400 Bad Request");
    }
    // Section 6: two lengths, or a wrong one, can hide a second request.
    let (lengths, codings) =
        (values("Content-Length"), values("Transfer-Encoding"));
    let is_length = |text: &String| {
        text.bytes().all(|byte| byte.is_ascii_digit())
            && text.parse::<u64>().is_ok()
    };
    let same = lengths.windows(2).all(|pair| pair[0] == pair[1]);
    let both = !lengths.is_empty() && !codings.is_empty();
    if both || !same || !lengths.iter().all(is_length) {
        return Err("400 Bad Request");
    }
    // Section 6.1: a coding that the server does not know. And this is no proxy.
    let known = codings.is_empty() || codings == ["chunked"];
    if !known || head.method == Some("CONNECT") {
        return Err("501 Not Implemented");
    }
    Ok(())
}

/// Whether `text` has only characters that a host name, an IP address and a port
/// may have (RFC 3986, 3.2.2).
fn is_host(text: &str) -> bool {
    let is_valid = |byte: u8| {
        byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:[]".contains(&byte)
    };
    text.bytes().all(is_valid)
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
