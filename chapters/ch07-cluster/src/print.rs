// ANCHOR: top
//! The bytes of a response.

use std::{
    io::Write,
    time::{Duration, Instant, SystemTime},
};

use ch05_restart::Response;
// ANCHOR_END: top

// ANCHOR: after
/// What happens to the connection after a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It is kept. In HTTP/1.1 that goes without saying.
    Keep,
    /// It is kept. A client that speaks HTTP/1.0 must be told.
    KeepHttp10,
    /// It is closed.
    Close,
}

/// The client may send the body now.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
// ANCHOR_END: after

// ANCHOR: print
/// Appends a response to `output`. `head_only`: without the body, in answer to `HEAD`.
pub fn print(
    output: &mut Vec<u8>,
    response: &Response,
    head_only: bool,
    date: &str,
    after: After,
) {
    let Response { status, content_type, body } = response;
    let connection = match after {
        After::Keep => "",
        After::KeepHttp10 => "Connection: keep-alive\r\n",
        After::Close => "Connection: close\r\n",
    };
    for part in ["HTTP/1.1 ", status, "\r\nDate: ", date, "\r\n", connection] {
        output.extend_from_slice(part.as_bytes());
    }
    // These never have a body (RFC 9110, sections 15.3.5 and 15.4.5).
    if status.starts_with("204") || status.starts_with("304") {
        output.extend_from_slice(b"\r\n");
        return;
    }
    for part in ["Content-Type: ", content_type, "\r\nContent-Length: "] {
        output.extend_from_slice(part.as_bytes());
    }
    write!(output, "{}\r\n\r\n", body.len()).expect("a Vec has room");
    if !head_only {
        output.extend_from_slice(body);
    }
}
// ANCHOR_END: print

// ANCHOR: date
/// The value of the `Date` field. It is printed once a second.
pub struct Date {
    text: String,
    printed_at: Instant,
}

impl Date {
    /// The date at `now`.
    pub fn new(now: Instant) -> Date {
        Date { text: httpdate::fmt_http_date(SystemTime::now()), printed_at: now }
    }

    /// The date at `now`, or up to a second before.
    pub fn text(&mut self, now: Instant) -> &str {
        if now.duration_since(self.printed_at) >= Duration::from_secs(1) {
            *self = Date::new(now);
        }
        &self.text
    }
}
// ANCHOR_END: date
