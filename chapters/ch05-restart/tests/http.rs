//! What clients send, and what the worker answers.

mod common;

use std::io::{Read, Write as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use common::{
    BUSY, GET, SOON, accepted, connected, installed, only_worker, response, server,
};
use testkit::http::{Response, raw_exchange};
use testkit::{Program, Running, eventually, fds, temp_dir};

const CHUNKED: &[u8] =
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

/// The one response to `bytes`, and the end of the stream after it.
#[track_caller]
fn reply(server: &Running, bytes: &[u8]) -> Response {
    let mut client = connected(server, bytes);
    let response = client.read_response();
    let response = response.unwrap_or_else(|error| panic!("no response: {error}"));
    assert_eq!(response.header("Connection"), Some("close"), "{response:?}");
    let end = client.stream().read(&mut [0]);
    assert!(matches!(end, Ok(0)), "the response, then its end, not {end:?}");
    response
}

#[test]
fn a_connection_has_one_request_and_one_response() {
    let server = server(1, 0);
    let text = raw_exchange(server.addr(), &GET.repeat(3)).expect("a response");
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 1, "{text}");
    assert_eq!(text.matches("handled by child, pid is ").count(), 1, "{text}");
    assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
    assert!(text.contains("\r\nContent-Type: text/plain\r\n"), "{text}");
    assert!(reply(&server, b"GET / HTTP/1.0\r\n\r\n").status == 200);
}

#[test]
fn a_body_is_discarded() {
    let server = server(1, 0);
    let known = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(reply(&server, known).status, 200);
    let whole = [CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"].concat();
    assert_eq!(reply(&server, &whole).status, 200);
    let megabyte = vec![b'x'; 1 << 20];
    for head in [
        CHUNKED,
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1048576\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
    ] {
        let response = reply(&server, &[head, &megabyte].concat());
        assert_eq!(response.status, 200, "close with unread input would reset");
    }
    let garbage = reply(&server, &megabyte);
    assert!(matches!(garbage.status, 400 | 431), "{garbage:?}");
}

/// A plain two-second limit would reset the connection in the middle of the upload.
#[test]
fn a_client_that_uploads_slowly_and_reads_only_then_gets_its_response() {
    let server = server(1, 0);
    let mut client = connected(&server, CHUNKED);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2_500) {
        client.send_raw(b"5\r\nhello\r\n").expect("the connection is open");
        sleep(Duration::from_millis(100));
    }
    client.send_raw(b"0\r\n\r\n").expect("the last chunk");
    response(&mut client);
}

#[test]
fn a_client_that_is_silent_after_its_response_is_closed_after_2_s() {
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    let idle = fds(worker).len();
    let mut client = accepted(&server, GET);
    response(&mut client);
    sleep(Duration::from_millis(1_500));
    assert_eq!(fds(worker).len(), idle + 1, "2 s, not less");
    sleep(Duration::from_millis(500));
    eventually("it is closed", BUSY, || fds(worker).len() == idle);
}

/// The bound is 256 MiB. What the kernel holds comes on top.
#[test]
fn a_client_that_sends_without_end_is_cut_off() {
    let server = server(1, 0);
    let mut client = connected(&server, GET);
    response(&mut client);
    let (began, chunk, mut sent) = (Instant::now(), [b'x'; 1 << 16], 0);
    while let Ok(length) = client.stream().write(&chunk) {
        sent += length >> 10;
        assert!(began.elapsed() < SOON, "{sent} KiB were taken");
    }
    assert!(sent < 300 << 10, "{sent} KiB were taken");
}

#[test]
fn head_is_answered_without_a_body() {
    let server = server(1, 0);
    let head = b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
    let text = raw_exchange(server.addr(), head).expect("a response");
    assert!(text.contains("\r\nContent-Length: "), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
    // One that is refused, too.
    let no_host = b"\r\nHEAD / HTTP/1.1\r\n\r\n";
    let text = raw_exchange(server.addr(), no_host).expect("a response");
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}

#[test]
fn a_client_that_has_shut_down_its_side_gets_its_response() {
    let server = server(1, 0);
    let mut client = connected(&server, GET);
    client.shutdown_write().expect("to shut down");
    response(&mut client);
    let mut nothing = connected(&server, b"");
    nothing.shutdown_write().expect("to shut down");
    assert!(nothing.is_closed_within(SOON), "no request, no response");
}

#[test]
fn a_request_that_is_refused_gets_a_response_that_says_why() {
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    let idle = fds(worker).len();
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(20_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    for (request, status) in [
        ("\0\0\0\0", 400),
        ("hello\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
        (&long, 431),
        (&many, 431),
    ] {
        let response = reply(&server, request.as_bytes());
        assert_eq!(response.status, status, "{request:?}");
    }
    eventually("the connections are closed", SOON, || fds(worker).len() == idle);
    assert_eq!(only_worker(&server).pid, worker, "no client crashes it with that");
}

#[test]
fn a_request_byte_by_byte_is_answered() {
    let server = server(1, 0);
    let mut client = connected(&server, b"");
    for byte in GET {
        client.send_raw(&[*byte]).expect("a byte");
    }
    response(&mut client);
}

#[test]
fn curl_posts_a_large_file() {
    if !installed("curl") {
        return;
    }
    let server = server(2, 1);
    let dir = temp_dir();
    // From 1 MiB on, curl asks first: Expect: 100-continue.
    let file = format!("@{}", dir.write("big", vec![b'x'; 2 << 20]).display());
    let url = format!("http://{}/", server.addr());
    let chunked = ["--data-binary", &file, "-H", "Transfer-Encoding: chunked"];
    for arguments in
        [&["-d", &file][..], &["-d", &file, "-H", "Expect:"], &chunked, &["-I"]]
    {
        let base = ["--no-progress-meter", "--fail", "--noproxy", "*", &url];
        let output = Program::new("curl").args(base).args(arguments).output();
        assert!(output.status.success(), "curl {arguments:?}: {output:?}");
    }
}

#[test]
fn a_connection_that_is_reset_disturbs_no_other() {
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    for _ in 0..50 {
        // Closed with a response unread: the kernel sends a reset.
        let client = connected(&server, GET);
        let _ = client.stream().peek(&mut [0]);
    }
    assert_eq!(response(&mut connected(&server, GET)).1, worker);
}
