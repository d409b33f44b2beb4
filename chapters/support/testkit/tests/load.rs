//! The load client misses no loss and invents none.

mod common;

use std::io::Write;
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;

use common::{panic_of, read_request, replying, server};
use testkit::free_port;
use testkit::load::{Kind, Load, Report};

const LONG: Duration = Duration::from_secs(20);

fn load(addr: std::net::SocketAddr, kind: Kind) -> Load {
    Load { addr, clients: 4, kind }
}

/// Writes a response as chapters 3 and 5 do, with one more header line.
fn answer(stream: &mut TcpStream, extra: &str) {
    let body = "handled by child, pid is 42\n";
    let length = body.len();
    let text =
        format!("HTTP/1.1 200 OK\r\n{extra}Content-Length: {length}\r\n\r\n{body}");
    let _ = stream.write_all(text.as_bytes());
}

#[track_caller]
fn assert_sums_up(report: &Report, total: u64) {
    assert_eq!(
        report.answered + report.lost_count + report.refused,
        total,
        "{report}"
    );
    assert_eq!(report.by_pid.values().sum::<u64>(), report.answered);
}

#[test]
fn raw_counts_names_and_pids() {
    let addr = server(|number, mut stream| {
        read_request(&mut stream);
        let name = if number % 2 == 0 { "normal" } else { "special" };
        let _ = write!(
            stream,
            "Request handled with {name} priority, running on {}",
            100 + number % 2
        );
    });
    let report = load(addr, Kind::Raw).run_total(100);
    report.assert_none_lost();
    assert_sums_up(&report, 100);
    assert_eq!((report.by_name["normal"], report.by_name["special"]), (50, 50));
    assert_eq!((report.by_pid[&100], report.by_pid[&101]), (50, 50));
    assert!(report.slowest > Duration::ZERO && report.slowest <= report.elapsed);
    assert!(report.per_second() > 0.0);
}

#[test]
fn every_third_connection_dropped_is_seen() {
    for kind in [Kind::Raw, Kind::HttpClose] {
        let addr = server(move |number, mut stream| {
            read_request(&mut stream);
            match (number % 3, kind) {
                (0, _) => {}
                (_, Kind::Raw) => {
                    let _ = stream.write_all(
                        b"Request handled with normal priority, running on 42",
                    );
                }
                _ => answer(&mut stream, "Connection: close\r\n"),
            }
        });
        let report = load(addr, kind).run_total(90);
        assert_sums_up(&report, 90);
        assert_eq!((report.answered, report.lost_count), (60, 30), "{report}");
        assert_eq!(report.lost.len(), 20, "only the first are shown");
        assert!(report.lost[0].contains("new connection"), "{report}");
        assert!(
            panic_of(|| report.assert_none_lost()).contains("60 answered, 30 lost")
        );
    }
}

#[test]
fn an_incomplete_or_wrong_response_is_a_loss() {
    for (bytes, kind) in [
        ("Request handled with normal priority, running on ", Kind::Raw),
        ("Request handled with normal priority, running on 4x", Kind::Raw),
        ("Request handled with other priority, running on 42", Kind::Raw),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\npid is 42", Kind::HttpClose),
        ("HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\npid is 42", Kind::HttpClose),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", Kind::HttpClose),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npid is 42, more",
            Kind::HttpClose,
        ),
    ] {
        let report = load(replying(bytes), kind).run_total(4);
        assert_eq!(
            (report.answered, report.lost_count),
            (0, 4),
            "{bytes:?}: {report}"
        );
    }
}

#[test]
fn a_reset_is_a_loss() {
    // Closing with unread input resets the connection.
    let addr = server(|_, stream| {
        let mut byte = [0];
        let _ = stream.peek(&mut byte);
    });
    for kind in [Kind::Raw, Kind::HttpClose, Kind::HttpKeepAlive] {
        let report = load(addr, kind).run_total(8);
        assert_eq!(report.lost_count, 8, "{report}");
        assert!(report.lost[0].contains("reset"), "{report}");
    }
}

#[test]
fn without_a_listener_requests_are_refused_and_not_lost() {
    let addr = ([127, 0, 0, 1], free_port()).into();
    let report = load(addr, Kind::HttpKeepAlive).run_total(10);
    assert_eq!((report.refused, report.lost_count), (10, 0), "{report}");
    assert!(panic_of(|| report.assert_none_lost()).contains("10 refused"));
    let nothing = load(addr, Kind::Raw).run_total(0);
    assert!(
        panic_of(|| nothing.assert_none_lost()).contains("no request was made")
    );
}

#[test]
fn keep_alive_keeps_connections_and_obeys_close() {
    static CONNECTIONS: Mutex<u64> = Mutex::new(0);
    let addr = server(|_, mut stream| {
        *CONNECTIONS.lock().expect("the count") += 1;
        for _ in 0..9 {
            if !read_request(&mut stream) {
                return;
            }
            answer(&mut stream, "");
        }
        if read_request(&mut stream) {
            answer(&mut stream, "Connection: close\r\n");
        }
    });
    let report = load(addr, Kind::HttpKeepAlive).run_total(400);
    report.assert_none_lost();
    assert_eq!(report.answered, 400);
    let connections = *CONNECTIONS.lock().expect("the count");
    assert!(
        (40..=44).contains(&connections),
        "{connections} connections, ten responses each"
    );
}

#[test]
fn a_kept_connection_that_closes_unannounced_is_a_loss() {
    let addr = server(|_, mut stream| {
        read_request(&mut stream);
        answer(&mut stream, "");
        // The next request is read and never answered.
        read_request(&mut stream);
    });
    let report = load(addr, Kind::HttpKeepAlive).run_total(40);
    assert_sums_up(&report, 40);
    assert!((18..=20).contains(&report.lost_count), "{report}");
    assert!(report.lost[0].contains("kept connection"), "{report}");
    assert!(report.lost[0].contains("before the first byte"), "{report}");
}

#[test]
fn in_the_background_until_stopped() {
    let addr = server(|_, mut stream| {
        while read_request(&mut stream) {
            answer(&mut stream, "");
        }
    });
    let background = load(addr, Kind::HttpKeepAlive).start();
    background.wait_for_more(100, LONG);
    let seen = background.answered();
    let report = background.stop();
    report.assert_none_lost();
    assert!(report.answered >= seen && seen >= 100, "{report}");
    assert_eq!(report.by_pid.len(), 1);
}
