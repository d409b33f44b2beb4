//! The kernel counts the descriptors of each *user* that are in flight in Unix
//! sockets. This test uses them up, so it is alone in its program.

use std::{
    io::IoSlice,
    os::{fd::AsRawFd, unix::net::UnixStream},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::socket::{ControlMessage, MsgFlags, sendmsg},
    unistd::geteuid,
};
use testkit::{Program, cpu_time, http};

/// sendmsg(2) refuses the listener with `ETOOMANYREFS` while other processes of the
/// user have more in flight than this one may have open.
#[test]
fn a_listener_that_cannot_be_sent_now_is_sent_as_soon_as_it_can() {
    if geteuid().is_root() {
        eprintln!("skipped: this limit does not hold for root");
        return;
    }
    let (a, b) = UnixStream::pair().expect("a pair");
    let fds = [a.as_raw_fd(); 200];
    let rights = [ControlMessage::ScmRights(&fds)];
    let byte = [IoSlice::new(b"x")];
    sendmsg::<()>(a.as_raw_fd(), &byte, &rights, MsgFlags::empty(), None)
        .expect("200 descriptors are in flight");

    let own = env!("CARGO_BIN_EXE_ch03-handles");
    let script = "ulimit -n 60; exec \"$0\" --port 0 --workers 2";
    let parent = Program::new("sh").args(["-c", script, own]).start();
    parent.wait_for_lines("started", 2);
    let used = cpu_time(parent.pid());
    thread::sleep(Duration::from_millis(500));
    let used = cpu_time(parent.pid()) - used;
    assert!(!parent.stdout().contains("is ready"), "{}", parent.stdout());
    assert!(used < Duration::from_millis(250), "it waits, and uses {used:?}");

    drop((a, b));
    let begun = Instant::now();
    parent.wait_for_lines("is ready", 2);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!(http::get(parent.addr()).expect("an answer").status, 200);
}
