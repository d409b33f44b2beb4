//! Puts an answer into bytes, with tiny_http's vocabulary.

use std::io;

use tiny_http::{Method, Response, ResponseBox, StatusCode};

use crate::{BadRequest, Request};

// ANCHOR: print
/// The answer to `request`, as it goes over the wire. With `close`, it says that this is the last
/// one on this connection.
///
/// # Errors
/// Those of the response's own reader.
pub fn print(
    request: &Request,
    response: ResponseBox,
    close: bool,
) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(256);
    let head_only = request.method == Method::Head;
    response.raw_print(
        &mut bytes,
        request.version.clone(),
        &[],
        head_only,
        None,
    )?;
    // HTTP/1.0 has to be told that the connection stays, 1.1 that it does not.
    if close {
        insert_header(&mut bytes, b"Connection: close\r\n");
    } else if request.version.1 == 0 {
        insert_header(&mut bytes, b"Connection: keep-alive\r\n");
    }
    Ok(bytes)
}
// ANCHOR_END: print

/// The answer to what is no request. It is the last one on this connection.
pub(crate) fn print_error(error: BadRequest) -> Vec<u8> {
    let status = StatusCode(error.status());
    let text = format!("{} {}\n", status.0, status.default_reason_phrase());
    let response = Response::from_string(text).with_status_code(status);
    let mut bytes = Vec::new();
    let printed = response.raw_print(&mut bytes, (1, 1).into(), &[], false, None);
    printed.expect("a Vec takes all that is written to it");
    insert_header(&mut bytes, b"Connection: close\r\n");
    bytes
}

// ANCHOR: insert_header
/// tiny_http ignores `Connection` on a response: it goes in after the first line.
fn insert_header(bytes: &mut Vec<u8>, header: &[u8]) {
    let line =
        bytes.windows(2).position(|pair| pair == b"\r\n").map_or(0, |at| at + 2);
    bytes.splice(line..line, header.iter().copied());
}
// ANCHOR_END: insert_header
