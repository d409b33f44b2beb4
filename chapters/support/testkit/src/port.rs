//! TCP ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

use procfs::net::TcpState;

use crate::lock::lock;
use crate::spawn::FORKING;

/// A port with no listener a moment ago. Another test may take it next: where the
/// program can choose a port, let it (`--port 0`).
///
/// # Panics
/// If there is none.
#[track_caller]
pub fn free_port() -> u16 {
    let _no_fork = lock(&FORKING);
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the address of a listener").port()
}

/// Whether no socket listens on it. To bind it would be no proof: that fails, too,
/// if another process has got it as the local port of a connection.
pub(crate) fn is_free(port: u16) -> bool {
    let tcp4 = procfs::net::tcp().unwrap_or_default();
    let tcp6 = procfs::net::tcp6().unwrap_or_default();
    !tcp4.iter().chain(&tcp6).any(|socket| {
        socket.state == TcpState::Listen && socket.local_address.port() == port
    })
}
