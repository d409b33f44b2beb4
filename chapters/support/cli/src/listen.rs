//! A server's listener: how many connections may wait in it, and how long a server
//! leaves it alone after accept(2) has failed.

use std::{
    io,
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    time::Duration,
};

use nix::sys::socket::{Backlog, listen as set_backlog};

/// How many connections may wait in a listener's backlog until a process accepts
/// them.
///
/// `std` asks for 128. That is too few while all workers are being replaced: if the
/// backlog is full, the kernel drops the next SYN, and its client tries again a
/// second later (listen(2)).
const BACKLOG: i32 = 4096;

/// How long a server does not accept after accept(2) has failed.
///
/// If no descriptor or memory is left, accept(2) fails and the connection stays in
/// the backlog, so poll(2) returns at once: without a pause that is a busy loop.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener on `addr` and `port`, and its address: port 0 takes a free one.
pub(crate) fn listen(
    addr: &str,
    port: u16,
) -> io::Result<(TcpListener, SocketAddr)> {
    let addresses: Vec<_> =
        (addr.trim_matches(['[', ']']), port).to_socket_addrs()?.collect();
    let listener = TcpListener::bind(&*addresses)?;
    // A second listen(2) on the same socket changes its backlog.
    set_backlog(&listener, Backlog::new(BACKLOG).unwrap_or(Backlog::MAXCONN))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
