// ANCHOR: top
//! Three ways to share a port.

use std::{fmt, io, net::TcpListener, os::fd::AsRawFd, str::FromStr};

use anyhow::bail;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrLike, SockaddrStorage,
    bind, getsockname, listen, setsockopt, socket,
    sockopt::{ReuseAddr, ReusePort},
};
// ANCHOR_END: top

// ANCHOR: sharing
/// How the workers share the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sharing {
    /// All workers have the same listener, and each accepts for itself.
    #[default]
    Shared,
    /// The primary accepts, and passes each connection to the next worker. Node's
    /// default: `SCHED_RR`.
    RoundRobin,
    /// Each worker has a listener of its own (`SO_REUSEPORT`, socket(7)): the kernel
    /// spreads the connections.
    Reuseport,
}

impl FromStr for Sharing {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Sharing> {
        Ok(match text {
            "shared" => Sharing::Shared,
            "round-robin" => Sharing::RoundRobin,
            "reuseport" => Sharing::Reuseport,
            _ => bail!("'{text}' is not shared, round-robin or reuseport"),
        })
    }
}

impl fmt::Display for Sharing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sharing::Shared => "shared",
            Sharing::RoundRobin => "round-robin",
            Sharing::Reuseport => "reuseport",
        })
    }
}
// ANCHOR_END: sharing

// ANCHOR: reuseport
/// Opens another listener on the same address and port. Each of them has a queue of its
/// own, and the kernel chooses one for each new connection.
///
/// # Errors
/// Those of setsockopt(2), socket(2), bind(2) and listen(2).
pub fn another_listener(first: &TcpListener) -> io::Result<TcpListener> {
    // All of them must allow it, and belong to the same user.
    setsockopt(first, ReusePort, &true)?;
    let address = getsockname::<SockaddrStorage>(first.as_raw_fd())?;
    let family = match address.family() {
        Some(AddressFamily::Inet6) => AddressFamily::Inet6,
        _ => AddressFamily::Inet,
    };
    let fd = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&fd, ReuseAddr, &true)?;
    setsockopt(&fd, ReusePort, &true)?;
    bind(fd.as_raw_fd(), &address)?;
    listen(&fd, Backlog::MAXCONN)?;
    Ok(TcpListener::from(fd))
}
// ANCHOR_END: reuseport
