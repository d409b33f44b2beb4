//! What clients send, and what the worker answers.

mod common;

use std::io::Read;

use common::{
    GET, SOON, accepted, answer, connected, installed, only_worker, says_close,
    server,
};
use testkit::http::{Client, Response, raw_exchange};
use testkit::{Program, Running, fds, temp_dir};

/// The one answer to `bytes`, and the end of the stream after it.
#[track_caller]
fn reply(server: &Running, bytes: &[u8]) -> Response {
    let mut client = connected(server, bytes);
    let response =
        client.read_response().unwrap_or_else(|error| panic!("no answer: {error}"));
    let end = client.stream().read(&mut [0]);
    assert!(
        matches!(end, Ok(0)),
        "the answer, then the end of the stream, not {end:?}"
    );
    response
}

#[test]
fn a_body_in_pieces_is_got_past_and_the_next_request_is_found() {
    let server = server(1, 0);
    let mut client = accepted(
        &server,
        b"POST / HTTP/1.1\r\nContent-Length: 30\r\n\r\nGET /evil HTTP/1.1",
    );
    client.send_raw(b"\r\n\r\n0123").expect("another piece");
    client.send_raw(b"4567").expect("the last piece");
    client.send_raw(GET).expect("the next request");
    let (post, pid) = answer(&mut client);
    assert!(
        !says_close(&post),
        "its end was found, so the connection stays: {post:?}"
    );
    assert_eq!(answer(&mut client).1, pid);
    client.send_raw(GET).expect("one more");
    answer(&mut client);
    client.shutdown_write().expect("to end our side");
    assert!(client.is_closed_within(SOON), "three answers and no fourth");
}

#[test]
fn a_chunked_body_is_answered_and_ends_the_connection() {
    let server = server(1, 0);
    let head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let whole = [head.as_slice(), b"5\r\nhello\r\n0\r\n\r\n"].concat();
    let response = reply(&server, &whole);
    assert_eq!(response.status, 200);
    assert!(says_close(&response), "{response:?}");
}

#[test]
fn a_megabyte_that_nobody_reads_destroys_no_answer() {
    let server = server(1, 0);
    let megabyte = vec![b'x'; 1 << 20];
    let unread: [&[u8]; 3] = [
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n",
        b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1048576\r\n\r\n",
        b"POST / HTTP/1.1\r\nConnection: close\r\n\r\n",
    ];
    for head in unread {
        let response = reply(&server, &[head, &megabyte].concat());
        assert_eq!(
            response.status, 200,
            "closing with unread input would reset: {response:?}"
        );
    }
    let garbage = reply(&server, &megabyte);
    assert!(matches!(garbage.status, 400 | 431), "{garbage:?}");
    let read =
        b"POST / HTTP/1.1\r\nConnection: close\r\nContent-Length: 1048576\r\n\r\n";
    assert_eq!(reply(&server, &[read, megabyte.as_slice()].concat()).status, 200);
}

#[test]
fn head_is_answered_without_a_body() {
    let server = server(1, 0);
    let bytes = [b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice(), GET].concat();
    let text = raw_exchange_closing(&server, &bytes);
    assert_eq!(text.matches("HTTP/1.1 200 OK\r\n").count(), 2, "{text}");
    assert_eq!(text.matches("Content-Length: ").count(), 2, "{text}");
    assert_eq!(
        text.matches("handled by child").count(),
        1,
        "only GET has a body: {text}"
    );
}

/// Sends `bytes`, ends our side, and reads all.
fn raw_exchange_closing(server: &Running, bytes: &[u8]) -> String {
    let mut client = connected(server, bytes);
    client.shutdown_write().expect("to end our side");
    let mut text = String::new();
    client.stream().read_to_string(&mut text).expect("answers");
    text
}

#[test]
fn a_client_that_has_ended_its_side_gets_its_answer() {
    let server = server(1, 0);
    let text = raw_exchange_closing(&server, GET);
    assert!(text.contains("handled by child"), "{text}");
    let nothing = raw_exchange_closing(&server, b"");
    assert_eq!(nothing, "", "no request, no answer");
}

#[test]
fn http_1_0_closes_unless_it_is_asked_to_stay() {
    let server = server(1, 0);
    let old = reply(&server, b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200);
    let mut client = connected(&server, b"");
    for _ in 0..3 {
        client
            .send_raw(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n")
            .expect("to send");
        let (response, _) = answer(&mut client);
        assert_eq!(
            response.header("Connection"),
            Some("keep-alive"),
            "or it would hang up"
        );
    }
    client.send_raw(b"GET / HTTP/1.0\r\n\r\n").expect("to send");
    assert!(says_close(&answer(&mut client).0));
    assert!(client.is_closed_within(SOON));
}

#[test]
fn http_1_1_stays_unless_it_is_asked_to_close() {
    let server = server(1, 0);
    let mut client = connected(&server, b"");
    for _ in 0..100 {
        client.send_raw(GET).expect("to send");
        assert!(!says_close(&answer(&mut client).0));
    }
    assert!(says_close(&reply(
        &server,
        b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n"
    )));
}

#[test]
fn what_is_no_http_gets_400_and_an_oversized_head_431() {
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    let idle = fds(worker).len();
    for nonsense in [
        "\0\0\0\0",
        "hello\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    ] {
        let response = reply(&server, nonsense.as_bytes());
        assert_eq!(
            (response.status, says_close(&response)),
            (400, true),
            "{nonsense:?}"
        );
    }
    let smuggled = b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(reply(&server, smuggled).status, 400);
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(20_000));
    assert_eq!(reply(&server, long.as_bytes()).status, 431);
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(101));
    assert_eq!(reply(&server, many.as_bytes()).status, 431);
    testkit::eventually("the connections are closed", SOON, || {
        fds(worker).len() == idle
    });
    assert_eq!(
        only_worker(&server).pid,
        worker,
        "no client can crash it with that"
    );
}

#[test]
fn a_request_byte_by_byte_is_answered() {
    let server = server(1, 0);
    let mut client = connected(&server, b"");
    for byte in GET {
        client.send_raw(&[*byte]).expect("a byte");
    }
    answer(&mut client);
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
fn a_connection_that_is_reset_harms_nobody() {
    let server = server(1, 0);
    let worker = only_worker(&server).pid;
    for _ in 0..50 {
        // Closed with an answer unread: the kernel sends a reset.
        let client = connected(&server, GET);
        let _ = client.stream().peek(&mut [0]);
    }
    let mut client = Client::connect(server.addr()).expect("to connect");
    client.send_raw(GET).expect("to send");
    assert_eq!(answer(&mut client).1, worker);
    let text =
        raw_exchange(server.addr(), b"GET / HTTP/1.0\r\n\r\n").expect("an answer");
    assert!(text.contains(&format!("pid is {worker}")), "{text}");
}
