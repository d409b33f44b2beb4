//! The kernel counts the descriptors of each *user* that are in flight in Unix
//! sockets. This test uses them up, so it is alone in its program.

mod common;

use std::{
    net::TcpStream,
    os::{fd::OwnedFd, unix::net::UnixStream},
    time::{Duration, Instant},
};

use common::{
    assert_answered, assert_no_busy_loop, connect, is_root, limited, send_with,
    serving, skipped, thing,
};

/// It refuses more than a process may have open: sendmsg(2), `ETOOMANYREFS`.
/// POLLOUT holds all the same, so a process that waits for it does not wait at
/// all.
#[test]
fn too_many_descriptors_in_flight_is_a_reason_to_wait_and_no_more() {
    if is_root() {
        skipped("this limit does not hold for root");
        return;
    }
    let server = serving(limited(40, "--port 0"));
    let (a, b) = UnixStream::pair().expect("a pair of sockets");
    let (_other, fd) = thing();
    let many: Vec<&OwnedFd> = vec![&fd; 200];
    send_with(&a, b"x", &many);
    let clients: Vec<TcpStream> = (0..4).map(|_| connect(&server)).collect();
    assert_no_busy_loop(&server);
    assert_eq!(server.children().len(), 2, "{}", server.stderr());
    drop((a, b));
    let begun = Instant::now();
    clients.into_iter().for_each(assert_answered);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
}
