//! TCP ports on 127.0.0.1.

use std::net::{Ipv4Addr, TcpListener};

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

/// Whether a new server could listen on it. std sets `SO_REUSEADDR`, as the
/// programs do, so connections in TIME_WAIT do not count: only another listener
/// does.
pub(crate) fn is_free(port: u16) -> bool {
    let _no_fork = lock(&FORKING);
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
