//! What is a request, what is none, and what is not one yet.

mod common;

use ch05_restart::{BadRequest, Body, Request};
use common::dice::Dice;
use tiny_http::Method;

/// A request with these header lines.
fn with(headers: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n")
}

#[track_caller]
fn good(head: &str) -> Request {
    match Request::parse(head.as_bytes()) {
        Ok(Some((request, length))) => {
            assert_eq!(length, head.len(), "the length of the head of {head:?}");
            request
        }
        other => panic!("{head:?} is a request, not {other:?}"),
    }
}

#[track_caller]
fn bad(head: impl AsRef<[u8]>) -> u16 {
    let head = head.as_ref();
    match Request::parse(head) {
        Err(bad) => bad.status(),
        other => {
            panic!("{:?} is no request: {other:?}", String::from_utf8_lossy(head))
        }
    }
}

#[test]
fn a_head_says_what_is_wanted() {
    let request =
        good("POST /a/b?c=d HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\n");
    assert_eq!((request.method, &*request.path), (Method::Post, "/a/b?c=d"));
    assert_eq!(request.version, (1, 1));
    assert_eq!(request.body, Body::Length(12));
    assert!(request.keep_alive);
    assert_eq!(good("BREW /pot HTTP/1.0\r\n\r\n").method.to_string(), "BREW");
    assert_eq!(
        good("\r\nGET / HTTP/1.1\r\n\r\n").path,
        "/",
        "RFC 9112, 2.2: an empty line before"
    );
}

#[test]
fn what_follows_the_head_is_not_part_of_it() {
    let head = with("Content-Length: 4\r\n");
    let (_, length) = Request::parse(format!("{head}bodyGET / HT").as_bytes())
        .expect("a request")
        .expect("a whole one");
    assert_eq!(length, head.len());
}

#[test]
fn every_part_of_a_head_is_not_whole_yet() {
    let head = "POST /some/where HTTP/1.1\r\nHost: localhost\r\nX-Y: z\r\nContent-Length: 3\r\n\r\n";
    for end in 0..head.len() {
        let part = &head[..end];
        assert!(
            matches!(Request::parse(part.as_bytes()), Ok(None)),
            "{part:?} may go on"
        );
    }
    good(head);
}

#[test]
fn arbitrary_bytes_are_refused_and_never_a_panic() {
    let pieces: [&[u8]; 16] = [
        b"GET ",
        b"/",
        b" HTTP/1.1",
        b"\r\n",
        b"\n",
        b"\r",
        b":",
        b" ",
        b"Content-Length",
        b"1",
        b"Transfer-Encoding: chunked",
        b"\0",
        b"\xff\xfe",
        b"Connection: close, ,",
        b"-",
        b"Expect",
    ];
    let mut dice = Dice::new(1);
    for _ in 0..20_000 {
        let mut bytes = Vec::new();
        if dice.roll(2) == 0 {
            bytes.extend_from_slice(b"GET / HTTP/1.1\r\n");
        }
        for _ in 0..dice.roll(12) {
            match dice.roll(4) {
                0 => bytes.push(dice.roll(256) as u8),
                _ => bytes.extend_from_slice(pieces[dice.roll(pieces.len())]),
            }
        }
        if let Ok(Some((_, length))) = Request::parse(&bytes) {
            assert!(length <= bytes.len(), "no more than there is: {bytes:?}");
        }
    }
}

#[test]
fn no_http_is_400() {
    for nonsense in [
        "\0\0\0\0",
        "hello\r\n\r\n",
        "GET /\r\n\r\n",
        "GET / HTTP/2.0\r\n\r\n",
        "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\nA B: c\r\n\r\n",
        "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
        "G@T / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(bad(nonsense), 400, "{nonsense:?}");
    }
    assert_eq!(bad(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), 400, "TLS");
}

#[test]
fn a_head_may_have_16_kib_and_not_a_byte_more() {
    let fill = |total: usize| {
        let empty = with("X: \r\n").len();
        with(&format!("X: {}\r\n", "y".repeat(total - empty)))
    };
    good(&fill(16 << 10));
    assert_eq!(bad(fill((16 << 10) + 1)), 431);
    let part = &fill(20 << 10)[..(16 << 10) - 1];
    assert!(
        matches!(Request::parse(part.as_bytes()), Ok(None)),
        "one byte may come yet"
    );
    assert_eq!(
        bad(&fill(20 << 10)[..16 << 10]),
        431,
        "that will not come to an end in time"
    );
    let endless = format!("GET /{}", "a".repeat(16 << 10));
    assert_eq!(bad(endless), 431, "a long request line");
}

#[test]
fn a_head_may_have_100_headers_and_not_one_more() {
    good(&with(&"A: b\r\n".repeat(99)));
    assert_eq!(bad(with(&"A: b\r\n".repeat(100))), 431);
}

#[test]
fn a_length_is_digits_and_said_once() {
    let length = |value: &str| with(&format!("Content-Length: {value}\r\n"));
    for (value, bytes) in [("0", 0), ("007", 7), (" 5 ", 5), ("5, 5", 5)] {
        assert_eq!(good(&length(value)).body, Body::Length(bytes), "{value:?}");
    }
    assert_eq!(good(&length("18446744073709551615")).body, Body::Length(u64::MAX));
    for value in [
        "",
        "-1",
        "+1",
        "1.0",
        "0x10",
        "1 2",
        "18446744073709551616",
        "5, 6",
        "5,",
        "x",
    ] {
        assert_eq!(bad(length(value)), 400, "{value:?}");
    }
    let twice = with("Content-Length: 5\r\ncontent-length: 5\r\n");
    assert_eq!(good(&twice).body, Body::Length(5), "the same twice is one");
    assert_eq!(bad(with("Content-Length: 5\r\nContent-Length: 6\r\n")), 400);
    assert_eq!(good(&with("")).body, Body::Length(0));
}

#[test]
fn two_ways_to_say_how_long_a_body_is_are_one_too_many() {
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Transfer-Encoding: identity\r\nContent-Length: 0\r\n",
    ] {
        assert_eq!(
            bad(with(headers)),
            400,
            "request smuggling (RFC 9112, 6.3): {headers:?}"
        );
    }
}

#[test]
fn a_body_of_unknown_length_is_not_read() {
    for headers in [
        "Transfer-Encoding: chunked\r\n",
        "transfer-encoding: GZIP, chunked\r\n",
        "Expect: 100-continue\r\nContent-Length: 5\r\n",
    ] {
        assert_eq!(good(&with(headers)).body, Body::Unread, "{headers:?}");
    }
}

#[test]
fn a_connection_stays_as_its_version_and_its_headers_say() {
    for (version, header, stays) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "connection: CLOSE\r\n", false),
        ("1.1", "Connection: keep-alive\r\n", true),
        ("1.1", "Connection: Upgrade, close\r\n", false),
        ("1.1", "Connection: x\r\nConnection: close\r\n", false),
        ("1.1", "Connection: closed\r\n", true),
        ("1.0", "", false),
        ("1.0", "Connection: keep-alive\r\n", true),
        ("1.0", "Connection: Keep-Alive, x\r\n", true),
        ("1.0", "Connection: keep-alive, close\r\n", false),
    ] {
        let request = good(&format!("GET / HTTP/{version}\r\n{header}\r\n"));
        assert_eq!(request.keep_alive, stays, "{version} {header:?}");
    }
}

#[test]
fn each_error_has_its_number() {
    let all = [BadRequest::Malformed, BadRequest::TooSlow, BadRequest::TooLarge];
    assert_eq!(all.map(BadRequest::status), [400, 408, 431]);
}
