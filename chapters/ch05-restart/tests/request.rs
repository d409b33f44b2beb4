//! What is a request, what is refused, and what is not complete yet.

mod common;

use ch05_restart::Request;
use common::dice::Dice;

/// A request with these header lines.
fn with(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

#[track_caller]
fn good(head: &str) -> Request {
    match Request::parse(head.as_bytes()) {
        Ok(Some(request)) => request,
        other => panic!("{head:?} is a request, not {other:?}"),
    }
}

/// The status code with which `head` is refused.
#[track_caller]
fn refused(head: impl AsRef<[u8]>) -> u16 {
    let head = head.as_ref();
    match Request::parse(head) {
        Err(response) => response.status[..3].parse().expect("three digits"),
        other => {
            panic!("{:?} is refused: {other:?}", String::from_utf8_lossy(head))
        }
    }
}

#[test]
fn a_request_has_a_method_and_a_path() {
    let request =
        good("POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!((&*request.method, &*request.path), ("POST", "/a/b?c=d"));
    assert_eq!(good("BREW /pot HTTP/1.0\r\n\r\n").method, "BREW");
    let before = "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(good(before).path, "/", "RFC 9112, 2.2: an empty line before");
    assert_eq!(good("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n").path, "*");
}

#[test]
fn every_part_of_a_head_is_not_complete() {
    let head = "GET /path HTTP/1.1\r\nHost: localhost\r\nX: y\r\n\r\n";
    for length in 0..head.len() {
        let part = Request::parse(&head.as_bytes()[..length]);
        assert_eq!(part, Ok(None), "{length} bytes");
    }
    good(head);
}

#[test]
fn a_head_has_16_kib_and_100_fields_at_most() {
    let fill = |total: usize| {
        let empty = with("X: \r\n").len();
        with(&format!("X: {}\r\n", "y".repeat(total - empty)))
    };
    good(&fill(16 << 10));
    assert_eq!(refused(fill((16 << 10) + 1)), 431);
    let part = &fill(20 << 10)[..(16 << 10) - 1];
    assert_eq!(Request::parse(part.as_bytes()), Ok(None), "one byte may follow");
    assert_eq!(refused(&fill(20 << 10)[..16 << 10]), 431);
    assert_eq!(refused(format!("GET /{}", "a".repeat(16 << 10))), 431);
    good(&with(&"A: b\r\n".repeat(99)));
    assert_eq!(refused(with(&"A: b\r\n".repeat(100))), 431);
}

/// RFC 9112, 3.2.
#[test]
fn http_1_1_needs_exactly_one_host() {
    for (head, status) in [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHosts: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nhOST: a\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET http://x/ HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nHost: \u{e9}\r\n\r\n", 400),
    ] {
        assert_eq!(refused(head), status, "{head:?}");
    }
    good("GET / HTTP/1.0\r\n\r\n");
    good("GET / HTTP/1.1\r\nHOST:\r\n\r\n");
    good("GET / HTTP/1.1\r\nHost: [::1]:1337\r\n\r\n");
    good("GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n");
}

/// RFC 9112, 3.2.1 to 3.2.4.
#[test]
fn a_request_asks_for_a_path_a_url_or_the_whole_server() {
    let head =
        |method, target| format!("{method} {target} HTTP/1.1\r\nHost: x\r\n\r\n");
    for target in ["/", "//", "/a?b=c://d", "http://x", "HTTPS://x:1/a?b"] {
        assert_eq!(good(&head("GET", target)).path, target);
    }
    for target in [
        "x",
        "*",
        "?a",
        "x:1",
        "http://",
        "http:///",
        "http://?a",
        "ftp://x/",
        "/#a",
    ] {
        assert_eq!(refused(head("GET", target)), 400, "{target:?}");
    }
    good(&head("OPTIONS", "*"));
    assert_eq!(refused(head("OPTIONS", "*a")), 400);
}

/// RFC 9112, 6.1 and 6.3: a transfer coding that the server does not understand, and
/// a last coding that is not chunked, so that the body has no end.
#[test]
fn of_transfer_codings_only_chunked_is_known() {
    for coding in ["chunked", "Chunked", " chunked "] {
        good(&with(&format!("Transfer-Encoding: {coding}\r\n")));
    }
    for coding in ["gzip", "chunked, gzip", "identity", "", "chunkedd"] {
        let head = with(&format!("Transfer-Encoding: {coding}\r\n"));
        assert_eq!(refused(head), 400, "{coding:?}");
    }
    for coding in ["gzip, chunked", "gzip,Chunked", "chunked, chunked"] {
        let head = with(&format!("Transfer-Encoding: {coding}\r\n"));
        assert_eq!(refused(head), 501, "{coding:?}");
    }
    let twice =
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n");
    assert_eq!(refused(twice), 501);
}

/// RFC 9110, 9.3.6: no proxy, no tunnel.
#[test]
fn connect_is_not_implemented() {
    assert_eq!(refused("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n"), 501);
    assert_eq!(refused("CONNECT x:443 HTTP/1.0\r\n\r\n"), 501);
}

/// RFC 9112, 6.3: two different lengths hide a second request.
#[test]
fn a_body_has_one_length() {
    let length = |value: &str| with(&format!("Content-Length: {value}\r\n"));
    for value in ["0", "007", " 5 ", "18446744073709551615"] {
        good(&length(value));
    }
    good(&with("Content-Length: 5\r\ncontent-length: 5\r\n"));
    for value in
        ["", "-1", "+1", "1.0", "0x10", "1 2", "5, 6", "18446744073709551616"]
    {
        assert_eq!(refused(length(value)), 400, "{value:?}");
    }
    assert_eq!(refused(with("Content-Length: 5\r\nContent-Length: 6\r\n")), 400);
    for both in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
    ] {
        assert_eq!(refused(with(both)), 400, "{both:?}");
    }
}

#[test]
fn what_is_not_http_is_refused() {
    for bytes in [
        &b"\0\0\0\0"[..],
        b"hello\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ] {
        assert_eq!(refused(bytes), 400, "{:?}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn no_bytes_make_the_parser_panic() {
    let mut dice = Dice::new(5);
    let words: [&[u8]; 12] = [
        b"GET ",
        b"/",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b":",
        b"Host: x",
        b"\0",
        b"\xff",
        b"Content-Length: 5",
        b"Transfer-Encoding: chunked",
        b" ",
    ];
    for _ in 0..20_000 {
        let count = dice.roll(12);
        let bytes: Vec<u8> = (0..count)
            .flat_map(|_| dice.pick(&words).unwrap_or_default())
            .copied()
            .collect();
        let _ = Request::parse(&bytes);
    }
}
