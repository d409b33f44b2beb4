//! A descriptor with its type.

use std::{
    error::Error,
    fmt,
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use crate::Kind;

// ANCHOR: handle
/// What can be sent beside a message: Node's `sendHandle`.
#[derive(Debug)]
pub enum Handle {
    /// A TCP connection: `net.Socket`.
    Tcp(TcpStream),
    /// A Unix stream: `net.Socket` too, in Node.
    Unix(UnixStream),
    /// A TCP listener: `net.Server`.
    TcpListener(TcpListener),
    /// A Unix listener: `net.Server` too.
    UnixListener(UnixListener),
    /// A UDP socket: `dgram.Socket`.
    Udp(UdpSocket),
    /// The bare descriptor of a TCP or Unix socket, or of a pipe: `net.Native`.
    Native(OwnedFd),
    /// The bare descriptor of a UDP socket: `dgram.Native`.
    UdpNative(OwnedFd),
}
// ANCHOR_END: handle

impl Handle {
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

    // ANCHOR: from_fd
    /// Makes a handle of `fd`, which came in an envelope that says `said`.
    ///
    /// # Errors
    /// [`WrongHandle`] where the kernel says that it is something else; `fd` is closed then.
    pub fn from_fd(said: &str, fd: OwnedFd) -> Result<Handle, WrongHandle> {
        let is = Kind::of(&fd).unwrap_or(Kind::Other);
        Ok(match (said, is) {
            ("net.Socket", Kind::Tcp) => Handle::Tcp(fd.into()),
            ("net.Socket", Kind::Unix) => Handle::Unix(fd.into()),
            ("net.Server", Kind::TcpListener) => Handle::TcpListener(fd.into()),
            ("net.Server", Kind::UnixListener) => Handle::UnixListener(fd.into()),
            ("dgram.Socket", Kind::Udp) => Handle::Udp(fd.into()),
            ("dgram.Native", Kind::Udp) => Handle::UdpNative(fd),
            ("net.Native", Kind::Udp | Kind::Other) => {
                return Err(WrongHandle { said: said.to_owned(), is });
            }
            ("net.Native", _) => Handle::Native(fd),
            _ => return Err(WrongHandle { said: said.to_owned(), is }),
        })
    }
    // ANCHOR_END: from_fd
}

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

/// A descriptor that is not what its envelope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrongHandle {
    /// The envelope's `type`.
    pub said: String,
    /// What the kernel says.
    pub is: Kind,
}

impl fmt::Display for WrongHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a handle was sent as '{}', but it is {}", self.said, self.is)
    }
}

impl Error for WrongHandle {}
