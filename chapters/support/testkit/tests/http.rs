//! Reading responses: complete ones, and incomplete ones.

mod common;

use std::io::{ErrorKind, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use common::{read_request, replying, server};
use testkit::http::{Client, get, in_words, raw_exchange};
use testkit::{free_port, pid_in};

const SHORT: Duration = Duration::from_millis(50);
const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_body_with_a_length() {
    let addr = replying(
        "HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\nX-A:  b \r\n\r\nhello",
    );
    let response = get(addr).expect("a response");
    assert_eq!((response.status, response.body.as_str()), (404, "hello"));
    assert_eq!(response.header("x-a"), Some("b"));
    assert_eq!(response.header("x-b"), None);
    assert_eq!(response.headers.len(), 2);
}

#[test]
fn a_body_in_chunks() {
    let addr = replying(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\nhello\r\n1;note=x\r\n,\r\nA\r\n chunked 1\r\n0\r\nTrailer: x\r\n\r\n",
    );
    assert_eq!(get(addr).expect("a response").body, "hello, chunked 1");
}

#[test]
fn a_body_until_eof() {
    let addr = replying("HTTP/1.0 200 OK\r\n\r\nall of it");
    assert_eq!(get(addr).expect("a response").body, "all of it");
}

#[test]
fn a_response_byte_by_byte() {
    let addr = server(|_, mut stream| {
        read_request(&mut stream);
        stream.set_nodelay(true).expect("no delay");
        let response = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        for byte in response.as_bytes() {
            stream.write_all(&[*byte]).expect("the client reads");
        }
    });
    assert_eq!(get(addr).expect("a response").body, "abc");
}

#[test]
fn an_incomplete_response_is_an_error() {
    for (cut, why) in [
        ("", "before the first byte"),
        ("HTTP/1.1 200 O", "in the head, after 14 bytes"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "4 bytes missing"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
            "bytes missing",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "chunked body",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello",
            "missing",
        ),
    ] {
        let error = get(replying(cut)).expect_err("an incomplete response");
        assert_eq!(error.kind(), ErrorKind::UnexpectedEof, "{cut:?}");
        assert!(error.to_string().contains(why), "{cut:?}: {error}");
    }
}

#[test]
fn a_response_that_is_not_http_is_an_error() {
    for nonsense in [
        "Request handled with normal priority\r\n\r\n",
        "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nabc",
    ] {
        let error = get(replying(nonsense)).expect_err("not HTTP");
        assert_eq!(error.kind(), ErrorKind::InvalidData, "{nonsense:?}: {error}");
    }
}

#[test]
fn without_a_listener_the_connection_is_refused() {
    let error = get(([127, 0, 0, 1], free_port()).into()).expect_err("no listener");
    assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
}

#[test]
fn a_response_without_header() {
    let addr = replying("Request handled with normal priority, running on 42");
    let text = raw_exchange(addr, b"GET / HTTP/1.0\r\n\r\n").expect("a response");
    assert_eq!(text, "Request handled with normal priority, running on 42");
    assert_eq!(pid_in(&text), Some(42));
}

/// Two responses on each connection, then it closes.
fn answer_twice(_: u64, mut stream: TcpStream) {
    for body in ["one", "two"] {
        read_request(&mut stream);
        write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{body}")
            .expect("it reads");
    }
    // Returns at the client's EOF.
    read_request(&mut stream);
}

#[test]
fn a_connection_is_kept() {
    let mut client = Client::connect(server(answer_twice)).expect("a connection");
    assert_eq!(client.get("/").expect("the first").body, "one");
    assert!(!client.is_closed_within(SHORT));
    assert_eq!(client.get("/x").expect("the second").body, "two");
    client.shutdown_write().expect("shutdown");
    assert!(client.is_closed_within(LONG));
}

#[test]
fn requests_may_be_sent_at_once() {
    let mut client = Client::connect(server(answer_twice)).expect("a connection");
    let request = b"GET / HTTP/1.1\r\n\r\n".repeat(2);
    client.send_raw(&request).expect("it is sent");
    assert_eq!(client.read_response().expect("the first").body, "one");
    assert_eq!(client.read_response().expect("the second").body, "two");
}

#[test]
fn a_connection_that_has_sent_a_byte_is_not_closed() {
    let addr = server(|_, mut stream| {
        stream.write_all(b"x").expect("it is sent");
        let _ = stream.shutdown(Shutdown::Write);
    });
    let mut client = Client::connect(addr).expect("a connection");
    assert!(!client.is_closed_within(LONG));
}

#[test]
fn pids_are_found_in_responses() {
    assert_eq!(pid_in("handled by child, pid is 1234\n"), Some(1234));
    assert_eq!(
        pid_in("Request handled with special priority, running on 7"),
        Some(7)
    );
    assert_eq!(pid_in("pid is unknown"), None);
    assert_eq!(pid_in(""), None);
}

#[test]
fn what_a_client_got_is_told_in_words() {
    let addr = replying("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n");
    let response = get(addr);
    assert_eq!(in_words(&response), "the response 200, with the text 'hi'");
    let refused = get(SocketAddr::from(([127, 0, 0, 1], free_port())));
    let said = in_words(&refused);
    assert_eq!(said, "no response: its connection was refused");
}
