//! What the kernel says about a descriptor.

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd},
};

use nix::sys::{
    socket::{
        AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname,
        getsockopt, sockopt,
    },
    stat::{SFlag, fstat},
};

/// The kinds of descriptor that Node passes, and one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A TCP connection, or a TCP socket that could become one.
    Tcp,
    /// A TCP socket that listens.
    TcpListener,
    /// A connected Unix stream. Node calls it a pipe.
    Unix,
    /// A Unix socket that listens.
    UnixListener,
    /// A UDP socket.
    Udp,
    /// One end of a pipe(7), or a FIFO.
    Pipe,
    /// A file, a terminal, any other socket.
    Other,
}

impl Kind {
    // ANCHOR: of
    /// Asks the kernel (socket(7)): its `SO_TYPE`, its address family, and whether it listens
    /// (`SO_ACCEPTCONN`).
    ///
    /// # Errors
    /// Those of fstat(2).
    pub fn of(fd: &impl AsFd) -> io::Result<Kind> {
        let mode = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
        if mode == SFlag::S_IFIFO {
            return Ok(Kind::Pipe);
        }
        if mode != SFlag::S_IFSOCK {
            return Ok(Kind::Other);
        }
        let address: SockaddrStorage = getsockname(fd.as_fd().as_raw_fd())?;
        let listens = getsockopt(fd, sockopt::AcceptConn)?;
        Ok(match (getsockopt(fd, sockopt::SockType)?, address.family(), listens) {
            (
                SockType::Stream,
                Some(AddressFamily::Inet | AddressFamily::Inet6),
                true,
            ) => Kind::TcpListener,
            (
                SockType::Stream,
                Some(AddressFamily::Inet | AddressFamily::Inet6),
                false,
            ) => Kind::Tcp,
            (SockType::Stream, Some(AddressFamily::Unix), true) => {
                Kind::UnixListener
            }
            (SockType::Stream, Some(AddressFamily::Unix), false) => Kind::Unix,
            (
                SockType::Datagram,
                Some(AddressFamily::Inet | AddressFamily::Inet6),
                _,
            ) => Kind::Udp,
            _ => Kind::Other,
        })
    }
    // ANCHOR_END: of
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Tcp => "a TCP socket",
            Kind::TcpListener => "a TCP listener",
            Kind::Unix => "a Unix stream",
            Kind::UnixListener => "a Unix listener",
            Kind::Udp => "a UDP socket",
            Kind::Pipe => "a pipe",
            Kind::Other => "something else",
        })
    }
}
