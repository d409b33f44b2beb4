//! HTTP as RFC 9110 and RFC 9112 say, judged with raw bytes: the right responses, and
//! the connection kept or closed after them.

mod common;

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use common::{GET, alone, pid};
use testkit::http::Client;

/// Whether the connection is kept after the responses, or closed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Then {
    Kept,
    Closed,
}
use Then::{Closed, Kept};

/// The statuses of the responses to `bytes`, and what happens then.
fn judge(
    addr: std::net::SocketAddr,
    bytes: &[u8],
    count: usize,
) -> (Vec<u16>, Then) {
    let mut client = Client::connect(addr).expect("to connect");
    client.send_raw(bytes).expect("to send");
    let statuses = (0..count).map(|_| match client.read_response() {
        Ok(response) => response.status,
        Err(_) => 0,
    });
    let statuses = statuses.collect();
    let is_kept = client.get("/").is_ok_and(|response| response.status == 200);
    (statuses, if is_kept { Kept } else { Closed })
}

#[test]
fn every_request_gets_its_response_and_the_connection_is_in_the_right_state() {
    let worker = alone(&[]);
    let get = "GET / HTTP/1.1\r\nHost: x\r\n";
    let post = "POST / HTTP/1.1\r\nHost: x\r\n";
    let chunked = &format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    let next = &format!("{get}\r\n");
    let long = &format!("{get}A: {}\r\n\r\n", "x".repeat(17 << 10));
    let many = &format!("{get}{}\r\n", "A: b\r\n".repeat(101));
    let trailers = &"A: b\r\n".repeat(40);
    let cases: &[(&[&str], &[u16], Then)] = &[
        (&[get, "\r\n"], &[200], Kept),
        (&[get, "\r\n", next, next], &[200, 200, 200], Kept),
        (&[get, "Connection: close\r\n\r\n"], &[200], Closed),
        (&[get, "Connection: x, Close\r\n\r\n", next], &[200], Closed),
        (&["GET / HTTP/1.0\r\n\r\n"], &[200], Closed),
        (&["GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"], &[200], Kept),
        (&["GET http://x/a HTTP/1.1\r\nHost: x\r\n\r\n"], &[200], Kept),
        (&["\r\n\r\n", next], &[200], Kept),
        // No Host, two of them, a wrong one.
        (&["GET / HTTP/1.1\r\n\r\n"], &[400], Closed),
        (&["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"], &[400], Closed),
        (&["GET / HTTP/1.1\r\nHost: a b\r\n\r\n"], &[400], Closed),
        // Bodies, and what follows them.
        (&[post, "Content-Length: 5\r\n\r\nhello", next], &[200, 200], Kept),
        (&[post, "Content-Length: 5\r\n\r\nhello\r\n", next], &[200, 200], Kept),
        (&[post, "Content-Length: 0\r\n\r\n", next], &[200, 200], Kept),
        (
            &[post, "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhi", next],
            &[200, 200],
            Kept,
        ),
        (&[chunked, "5\r\nhello\r\n0\r\n\r\n", next], &[200, 200], Kept),
        (
            &[chunked, "5;a=b\r\nhello\r\n0\r\nA: b\r\n\r\n", next],
            &[200, 200],
            Kept,
        ),
        (&[chunked, "000A\r\n0123456789\r\n0\r\n\r\n", next], &[200, 200], Kept),
        (&[chunked, "0\r\n\r\n\r\n", next], &[200, 200], Kept),
        // Bodies that are none.
        (&[chunked, "g\r\n"], &[400], Closed),
        (&[chunked, "-1\r\n"], &[400], Closed),
        (&[chunked, "\r\n\r\n"], &[400], Closed),
        (&[chunked, ";a\r\n\r\n"], &[400], Closed),
        (&[chunked, " 0\r\n\r\n"], &[400], Closed),
        (&[chunked, "0\n\r\n"], &[400], Closed),
        (&[chunked, "1;a\nx\r\n0\r\n\r\n"], &[400], Closed),
        (&[chunked, "0;a\n"], &[400], Closed),
        (&[chunked, "1\r\nx\n0\r\n\r\n"], &[400], Closed),
        (&[chunked, "5\r\nhelloX\r\n0\r\n\r\n"], &[400], Closed),
        (&[chunked, "FFFFFFFFFFFFFFFFF\r\n"], &[400], Closed),
        (&[chunked, "FFFFFFFFFFFFFFFF\r\n"], &[413], Closed),
        (&[chunked, "0\r\n", trailers, "\r\n"], &[400], Closed),
        (&[post, "Content-Length: 268435457\r\n\r\n"], &[413], Closed),
        // Two opinions of where the body ends.
        (&[post, "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"], &[400], Closed),
        (&[post, "Content-Length: 5, 5\r\n\r\n"], &[400], Closed),
        (&[post, "Content-Length: +5\r\n\r\n"], &[400], Closed),
        (&[post, "Content-Length: 0x5\r\n\r\n"], &[400], Closed),
        (&[post, "Content-Length: \r\n\r\n"], &[400], Closed),
        (
            &[post, "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"],
            &[400],
            Closed,
        ),
        (&[post, "Transfer-Encoding: gzip\r\n\r\n"], &[400], Closed),
        (&[post, "Transfer-Encoding: chunked, gzip\r\n\r\n"], &[400], Closed),
        (&[post, "Transfer-Encoding: gzip, chunked\r\n\r\n"], &[501], Closed),
        (
            &["POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"],
            &[400],
            Closed,
        ),
        // Heads that are none.
        (&[get, "A: b\r\n c\r\n\r\n"], &[400], Closed),
        (&[get, "A : b\r\n\r\n"], &[400], Closed),
        (&[get, "A: b\rc\r\n\r\n"], &[400], Closed),
        (&[get, "A: b\0c\r\n\r\n"], &[400], Closed),
        (&["GET /\r\n\r\n"], &[400], Closed),
        (&["GET x HTTP/1.1\r\nHost: x\r\n\r\n"], &[400], Closed),
        (&["GET / HTTP/2.0\r\nHost: x\r\n\r\n"], &[400], Closed),
        (&["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], &[400], Closed),
        (&["\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\r\n\r\n"], &[400], Closed),
        (&[long], &[431], Closed),
        (&[many], &[431], Closed),
        // Methods and expectations.
        (&["CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n"], &[501], Closed),
        (&["TRACE / HTTP/1.1\r\nHost: x\r\n\r\n"], &[501], Closed),
        (&["DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", next], &[501, 200], Kept),
        (&[post, "Expect: more\r\nContent-Length: 1\r\n\r\n"], &[417], Closed),
        // What follows a request that ends the connection is no request.
        (&["GET / HTTP/1.1\r\n\r\n", next, next], &[400], Closed),
    ];
    for (parts, statuses, then) in cases {
        let bytes = parts.concat();
        let result = judge(worker.addr, bytes.as_bytes(), statuses.len());
        let shown: String = bytes.chars().take(200).collect();
        assert_eq!(result, (statuses.to_vec(), *then), "{shown:?}");
    }
}

#[test]
fn heads_and_bodies_may_come_one_byte_at_a_time() {
    let worker = alone(&[]);
    let bytes = "\r\nPOST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
                 3;a=\"b\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nA: b\r\n\r\n\
                 POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
    let mut client = Client::connect(worker.addr).expect("to connect");
    for byte in bytes.bytes() {
        client.send_raw(&[byte]).expect("to send");
    }
    pid(client.read_response());
    pid(client.read_response());
    pid(client.get("/"));
}

/// What the worker sends until it closes.
fn raw(addr: std::net::SocketAddr, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(addr).expect("to connect");
    stream.write_all(bytes).expect("to send");
    stream.shutdown(Shutdown::Write).expect("to shut down");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("no reset");
    text
}

#[test]
fn a_client_that_has_shut_down_its_side_gets_all_its_responses() {
    let worker = alone(&[]);
    let text = raw(worker.addr, &GET.repeat(1000));
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 1000);
    assert_eq!(text.matches("Connection:").count(), 0);
    let text = raw(worker.addr, &[GET, b"GET / HT"].concat());
    assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "{text}");
}

#[test]
fn heads_of_responses_are_complete() {
    let worker = alone(&[]);
    let text = raw(worker.addr, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert_eq!(body, "", "HEAD has no body");
    let lines: Vec<&str> = head.split("\r\n").collect();
    assert_eq!(lines[0], "HTTP/1.1 200 OK");
    let has = |start: &str, end: &str| {
        lines.iter().any(|line| line.starts_with(start) && line.ends_with(end))
    };
    assert!(has("Date: ", " GMT"), "{head}");
    assert!(has("Content-Type: ", "text/plain"), "{head}");
    let length =
        format!("handled by child, pid is {}\n", worker.worker.pid()).len();
    assert!(has("Content-Length: ", &length.to_string()), "{head}");
    let old = raw(worker.addr, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    assert!(old.contains("\r\nConnection: keep-alive\r\n"), "{old}");
    let refused = raw(worker.addr, b"HEAD / HTTP/1.1\r\n\r\n");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(refused.ends_with("\r\n\r\n"), "no body after HEAD: {refused}");
}

#[test]
fn the_body_is_asked_for_only_if_it_has_not_arrived() {
    let worker = alone(&[]);
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\
                 Content-Length: 5\r\n\r\n";
    let mut stream = TcpStream::connect(worker.addr).expect("to connect");
    stream.write_all(head).expect("to send");
    let mut bytes = [0; 25];
    stream.read_exact(&mut bytes).expect("an interim response");
    assert_eq!(&bytes, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").expect("to send");
    let mut start = [0; 12];
    stream.read_exact(&mut start).expect("a response");
    assert_eq!(&start, b"HTTP/1.1 200");
    let text = raw(worker.addr, &[&head[..], b"hello"].concat());
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
}

#[test]
fn an_upload_that_is_refused_or_slow_gets_its_response_without_a_reset() {
    let worker = alone(&[]);
    for head in ["POST / HTTP/1.1\r\n", "POST / HTTP/1.1\r\nHost: x\r\n"] {
        let mut stream = TcpStream::connect(worker.addr).expect("to connect");
        let head = format!("{head}Transfer-Encoding: chunked\r\n\r\n");
        stream.write_all(head.as_bytes()).expect("to send");
        for _ in 0..10 {
            let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
            stream.write_all(chunk.as_bytes()).expect("the worker reads on");
            sleep(Duration::from_millis(20));
        }
        stream.write_all(b"0\r\n\r\n").expect("to send");
        let mut start = [0; 12];
        stream.read_exact(&mut start).expect("a response, and no reset");
        assert!(start.starts_with(b"HTTP/1.1 "), "{start:?}");
    }
}

/// 400,000 responses would be 60 MB.
#[test]
fn a_client_that_sends_requests_and_reads_no_response_fills_no_memory() {
    let worker = alone(&[]);
    let mut stream = TcpStream::connect(worker.addr).expect("to connect");
    stream.set_nonblocking(true).expect("a flag");
    let requests = GET.repeat(1000);
    let mut sent = 0;
    let mut idle = 0;
    while idle < 20 && sent < 400 * requests.len() {
        match stream.write(&requests[sent % requests.len()..]) {
            Ok(length) => (sent, idle) = (sent + length, 0),
            Err(_) => {
                idle += 1;
                sleep(Duration::from_millis(5));
            }
        }
    }
    assert!(idle == 20, "the worker reads on and on");
    let status = format!("/proc/{}/status", worker.worker.pid());
    let status = std::fs::read_to_string(status).expect("its status");
    let line =
        status.lines().find(|line| line.starts_with("VmRSS")).expect("a line");
    let kib: u64 =
        line.split_whitespace().nth(1).expect("a number").parse().unwrap();
    assert!(kib < 20_000, "{line}");
    // It answers everything once the client reads; others are served meanwhile.
    pid(testkit::http::get(worker.addr));
    stream.set_nonblocking(false).expect("a flag");
    stream.shutdown(Shutdown::Write).expect("to shut down");
    let mut text = Vec::new();
    stream.read_to_end(&mut text).expect("no reset");
    let count = text.windows(15).filter(|it| it == b"HTTP/1.1 200 OK").count();
    assert_eq!(count, sent / GET.len());
}
