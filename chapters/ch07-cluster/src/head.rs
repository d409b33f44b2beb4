// ANCHOR: top
//! The head of a request: what the client asks for, where the body ends, and whether
//! another request may follow on the same connection.

use ch05_restart::{
    MAX_HEADERS, Request, Response, parse_head, parse_length, values,
};
use httparse::EMPTY_HEADER;

use crate::body::{Body, MAX_BODY};
// ANCHOR_END: top

// ANCHOR: head
/// What a worker needs to know of a request before it reads the body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The request, for the handler.
    pub request: Request,
    /// The length of the head, in bytes.
    pub length: usize,
    /// The body, which follows.
    pub body: Body,
    /// Whether the client may send another request after this one.
    pub keep_alive: bool,
    /// HTTP/1.0: then a response that keeps the connection open must say so.
    pub is_http_1_0: bool,
    /// The client sends the body only after `100 Continue`.
    pub expects_continue: bool,
}
// ANCHOR_END: head

impl Head {
    // ANCHOR: parse
    /// Parses the head at the start of `bytes`. `None`: it is not complete yet.
    ///
    /// # Errors
    /// The response to a request that is refused. It is not known where the next
    /// request would begin, so the connection is closed after it.
    pub fn parse(bytes: &[u8]) -> Result<Option<Head>, Response> {
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut head = httparse::Request::new(&mut headers);
        let Some(length) = parse_head(&mut head, bytes)? else { return Ok(None) };
        let request = Request::new(&head)?;
        if request.method == "TRACE" {
            return Err(Response::new("501 Not Implemented"));
        }
        let is_http_1_0 = head.version == Some(0);
        let asks = |word| has_word(&head, "Connection", word);
        Ok(Some(Head {
            request,
            length,
            body: body(&head)?,
            keep_alive: !asks("close") && (!is_http_1_0 || asks("keep-alive")),
            is_http_1_0,
            expects_continue: expects_continue(&head)? && !is_http_1_0,
        }))
    }
    // ANCHOR_END: parse
}

// ANCHOR: body
/// The body that follows (RFC 9112, section 6.3). The head was checked before: it has
/// one length at most, and no coding but `chunked`.
fn body(head: &httparse::Request) -> Result<Body, Response> {
    if values(head, "Transfer-Encoding").next().is_some() {
        return match head.version {
            Some(1) => Ok(Body::chunked()),
            // HTTP/1.0 has no codings.
            _ => Err(Response::new("400 Bad Request")),
        };
    }
    let length = values(head, "Content-Length").next().and_then(parse_length);
    match length.unwrap_or(0) {
        length if length <= MAX_BODY => Ok(Body::Length(length)),
        _ => Err(Response::new("413 Content Too Large")),
    }
}
// ANCHOR_END: body

// ANCHOR: words
/// Whether a field that is a list of words has this one.
fn has_word(head: &httparse::Request, name: &str, word: &str) -> bool {
    let is_word = |it: &[u8]| it.trim_ascii().eq_ignore_ascii_case(word.as_bytes());
    values(head, name).any(|list| list.split(|&byte| byte == b',').any(is_word))
}

/// Whether the client waits for `100 Continue` (RFC 9110, section 10.1.1).
fn expects_continue(head: &httparse::Request) -> Result<bool, Response> {
    let mut expectations = values(head, "Expect");
    match expectations.next() {
        None => Ok(false),
        Some(it) if it.eq_ignore_ascii_case(b"100-continue") => Ok(true),
        Some(_) => Err(Response::new("417 Expectation Failed")),
    }
}
// ANCHOR_END: words
