//! What goes over the wire as an answer.

use ch05_restart::{Request, print};
use tiny_http::{Response, StatusCode};

fn request(head: &str) -> Request {
    Request::parse(head.as_bytes()).expect("a request").expect("a whole one").0
}

/// The answer to `head`: its status line and headers, and its body.
fn printed(head: &str, close: bool) -> (String, String) {
    let response = Response::from_string("hello\n").boxed();
    split(print(&request(head), response, close).expect("an answer"))
}

fn split(bytes: Vec<u8>) -> (String, String) {
    let text = String::from_utf8(bytes).expect("text");
    let (head, body) =
        text.split_once("\r\n\r\n").expect("an empty line behind the head");
    (head.to_owned(), body.to_owned())
}

/// The values of all headers with that name.
fn headers<'h>(head: &'h str, name: &str) -> Vec<&'h str> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(": "));
    lines
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
        .collect()
}

#[test]
fn an_answer_says_how_long_it_is() {
    let (head, body) = printed("GET / HTTP/1.1\r\n\r\n", false);
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(headers(&head, "Content-Length"), ["6"], "{head}");
    assert_eq!(body, "hello\n");
}

#[test]
fn the_answer_to_head_has_the_head_alone() {
    let (head, body) = printed("HEAD / HTTP/1.1\r\n\r\n", false);
    assert_eq!(headers(&head, "Content-Length"), ["6"], "as long as GET's: {head}");
    assert_eq!(body, "", "a body here would be taken for the next answer");
}

#[test]
fn each_version_is_told_only_what_it_does_not_expect() {
    for (version, close, connection) in [
        ("1.1", false, None),
        ("1.1", true, Some("close")),
        ("1.0", false, Some("keep-alive")),
        ("1.0", true, Some("close")),
    ] {
        let (head, _) = printed(&format!("GET / HTTP/{version}\r\n\r\n"), close);
        assert!(head.starts_with(&format!("HTTP/{version} 200 ")), "{head}");
        assert_eq!(
            headers(&head, "Connection").first().copied(),
            connection,
            "{head}"
        );
        assert_eq!(
            headers(&head, "Connection").len(),
            usize::from(connection.is_some()),
            "{head}"
        );
    }
}

#[test]
fn other_answers_are_printed_as_well() {
    let empty = Response::from_string("").with_status_code(StatusCode(204)).boxed();
    let bytes =
        print(&request("GET / HTTP/1.1\r\n\r\n"), empty, true).expect("an answer");
    let (head, body) = split(bytes);
    assert!(head.starts_with("HTTP/1.1 204 "), "{head}");
    assert_eq!(headers(&head, "Connection"), ["close"], "{head}");
    assert_eq!(body, "");
}

/// HTTP/1.0 knows no chunks: a body of unknown length must be measured first.
#[test]
fn a_long_answer_to_an_old_client_comes_without_chunks() {
    let long = "x".repeat(100_000);
    let response = Response::from_string(long.clone()).boxed();
    let bytes = print(&request("GET / HTTP/1.0\r\n\r\n"), response, true)
        .expect("an answer");
    let (head, body) = split(bytes);
    assert_eq!(headers(&head, "Transfer-Encoding"), [""; 0], "{head}");
    assert_eq!(headers(&head, "Content-Length"), ["100000"], "{head}");
    assert!(body == long, "all of it");
}
