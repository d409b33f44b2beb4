// ANCHOR: head
//! A descriptor with its type: what the sender says that it is, checked with the
//! kernel.

use std::{
    error::Error,
    fmt, io,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use nix::sys::{
    socket::{
        AddressFamily::{Inet, Inet6, Unix},
        SockType::{Datagram, Stream},
        SockaddrLike, SockaddrStorage, getsockname, getsockopt, sockopt,
    },
    stat::{SFlag, fstat},
};
// ANCHOR_END: head

// ANCHOR: kind
/// What the kernel says about a descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A TCP socket that does not listen: a connection, in most cases.
    Tcp,
    /// A TCP socket that listens.
    TcpListener,
    /// A Unix stream that does not listen. Node calls it a pipe.
    Unix,
    /// A Unix socket that listens.
    UnixListener,
    /// A UDP socket.
    Udp,
    /// One end of a pipe(7), or a FIFO: a pipe that has a file name.
    Pipe,
    /// A file, a terminal, any other socket.
    Other,
}
// ANCHOR_END: kind

// ANCHOR: of
impl Kind {
    /// Asks the kernel what `fd` is. Does not block, and changes nothing.
    ///
    /// # Errors
    /// Those of fstat(2), getsockname(2) and getsockopt(2).
    pub fn of(fd: impl AsFd) -> io::Result<Kind> {
        let fd = fd.as_fd();
        // Some bits of st_mode are the type of the file; S_IFMT selects them.
        let file = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
        if file == SFlag::S_IFIFO {
            return Ok(Kind::Pipe);
        }
        if file != SFlag::S_IFSOCK {
            return Ok(Kind::Other);
        }
        let socket_type = getsockopt(&fd, sockopt::SockType)?;
        let family = getsockname::<SockaddrStorage>(fd.as_raw_fd())?.family();
        // SO_ACCEPTCONN (socket(7)): whether listen(2) was called on it.
        let listens = getsockopt(&fd, sockopt::AcceptConn)?;
        Ok(match (socket_type, family, listens) {
            (Stream, Some(Inet | Inet6), false) => Kind::Tcp,
            (Stream, Some(Inet | Inet6), true) => Kind::TcpListener,
            (Stream, Some(Unix), false) => Kind::Unix,
            (Stream, Some(Unix), true) => Kind::UnixListener,
            (Datagram, Some(Inet | Inet6), _) => Kind::Udp,
            _ => Kind::Other,
        })
    }
}
// ANCHOR_END: of

// ANCHOR: handle
/// What can be sent with a message: Node's `sendHandle`.
#[derive(Debug)]
pub enum Handle {
    /// A TCP connection: Node's `net.Socket`.
    Tcp(TcpStream),
    /// A Unix stream: also `net.Socket` in Node.
    Unix(UnixStream),
    /// A TCP listener: `net.Server`.
    TcpListener(TcpListener),
    /// A Unix listener: also `net.Server`.
    UnixListener(UnixListener),
    /// A UDP socket: `dgram.Socket`.
    Udp(UdpSocket),
    /// The bare descriptor of a TCP socket, a Unix socket or a pipe: `net.Native`.
    Native(OwnedFd),
    /// The bare descriptor of a UDP socket: `dgram.Native`.
    UdpNative(OwnedFd),
}
// ANCHOR_END: handle

impl Handle {
    // ANCHOR: from_fd
    /// Makes a handle of `fd`, which arrived in an envelope with the type `said`.
    ///
    /// # Errors
    /// [`WrongHandle`] if the kernel says that it is something else. Then `fd` is
    /// closed.
    pub fn from_fd(said: &str, fd: OwnedFd) -> Result<Handle, WrongHandle> {
        let is = Kind::of(&fd).unwrap_or(Kind::Other);
        Ok(match (said, is) {
            ("net.Socket", Kind::Tcp) => Handle::Tcp(fd.into()),
            ("net.Socket", Kind::Unix) => Handle::Unix(fd.into()),
            ("net.Server", Kind::TcpListener) => Handle::TcpListener(fd.into()),
            ("net.Server", Kind::UnixListener) => Handle::UnixListener(fd.into()),
            // So Node sends its standard input or output, if that is a pipe.
            ("net.Socket", Kind::Pipe) => Handle::Native(fd),
            ("net.Native", is) if is != Kind::Udp && is != Kind::Other => {
                Handle::Native(fd)
            }
            ("dgram.Socket", Kind::Udp) => Handle::Udp(fd.into()),
            ("dgram.Native", Kind::Udp) => Handle::UdpNative(fd),
            _ => return Err(WrongHandle { said: said.to_owned(), is }),
        })
    }
    // ANCHOR_END: from_fd

    // ANCHOR: node_type
    /// The `type` on Node's envelope.
    pub fn node_type(&self) -> &'static str {
        match self {
            Handle::Tcp(_) | Handle::Unix(_) => "net.Socket",
            Handle::TcpListener(_) | Handle::UnixListener(_) => "net.Server",
            Handle::Udp(_) => "dgram.Socket",
            Handle::Native(_) => "net.Native",
            Handle::UdpNative(_) => "dgram.Native",
        }
    }
    // ANCHOR_END: node_type
}

// ANCHOR: wrong_handle
/// A descriptor that is not what its envelope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongHandle {
    /// The envelope's `type`.
    pub said: String,
    /// What the kernel says.
    pub is: Kind,
}
// ANCHOR_END: wrong_handle

// ANCHOR: conversions
impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Handle::Tcp(stream) => stream.as_fd(),
            Handle::Unix(stream) => stream.as_fd(),
            Handle::TcpListener(listener) => listener.as_fd(),
            Handle::UnixListener(listener) => listener.as_fd(),
            Handle::Udp(socket) => socket.as_fd(),
            Handle::Native(fd) | Handle::UdpNative(fd) => fd.as_fd(),
        }
    }
}

impl From<Handle> for OwnedFd {
    fn from(handle: Handle) -> OwnedFd {
        match handle {
            Handle::Tcp(stream) => stream.into(),
            Handle::Unix(stream) => stream.into(),
            Handle::TcpListener(listener) => listener.into(),
            Handle::UnixListener(listener) => listener.into(),
            Handle::Udp(socket) => socket.into(),
            Handle::Native(fd) | Handle::UdpNative(fd) => fd,
        }
    }
}
// ANCHOR_END: conversions

// ANCHOR: display
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

impl fmt::Display for WrongHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a handle was sent as '{}', but it is {}", self.said, self.is)
    }
}

impl Error for WrongHandle {}
// ANCHOR_END: display
