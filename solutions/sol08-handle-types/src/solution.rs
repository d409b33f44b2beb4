//! Solution.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sys::socket::{
    AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname,
    getsockopt, sockopt,
};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::isatty;

use crate::harness::Kind;

// ANCHOR: kind
/// Asks the kernel what `fd` is. It does not read from it, accept from it or change it, and does not
/// block: its owner notices nothing.
///
/// # Errors
/// Those of fstat(2), getsockname(2) and getsockopt(2).
pub fn kind_of(fd: BorrowedFd<'_>) -> io::Result<Kind> {
    // The type of a file is a few bits of its mode: a number, of which some begin with the same bits. So
    // it is masked and compared; `contains` would take a socket for a file.
    let kind = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
    match kind {
        SFlag::S_IFSOCK => kind_of_socket(fd),
        SFlag::S_IFIFO => Ok(Kind::Pipe),
        SFlag::S_IFREG => Ok(Kind::File),
        // Of the character devices, only a terminal has the settings of one (isatty(3)).
        SFlag::S_IFCHR if isatty(fd).unwrap_or(false) => Ok(Kind::Terminal),
        _ => Ok(Kind::Other),
    }
}

fn kind_of_socket(fd: BorrowedFd<'_>) -> io::Result<Kind> {
    // Also one that was never bound has an address, if only its family: AF_UNIX and nothing more.
    let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    let listens = getsockopt(&fd, sockopt::AcceptConn)?;
    let is_ip = matches!(
        address.family(),
        Some(AddressFamily::Inet | AddressFamily::Inet6)
    );
    let is_unix = address.family() == Some(AddressFamily::Unix);
    Ok(match getsockopt(&fd, sockopt::SockType)? {
        SockType::Stream if is_ip && listens => Kind::TcpListener,
        SockType::Stream if is_ip => Kind::Tcp,
        SockType::Stream if is_unix && listens => Kind::UnixListener,
        SockType::Stream if is_unix => Kind::Unix,
        SockType::Datagram if is_ip => Kind::Udp,
        _ => Kind::Other,
    })
}
// ANCHOR_END: kind

// ANCHOR: accept
/// Takes a descriptor that came in an envelope whose `type` is `said`, if it is what that says:
///
/// | `said`                          | may be                                        |
/// | ------------------------------- | --------------------------------------------- |
/// | `net.Socket`                    | a TCP socket, a Unix stream                   |
/// | `net.Server`                    | a TCP listener, a Unix listener               |
/// | `net.Native`                    | any of these four, or a pipe                  |
/// | `dgram.Socket`, `dgram.Native`  | a UDP socket                                  |
///
/// # Errors
/// Refused: it is something else, or `said` is none of these five. `fd` is closed then, and you hear what
/// it is: [`Kind::Other`], if the kernel does not tell.
pub fn accept(said: &str, fd: OwnedFd) -> Result<(Kind, OwnedFd), Kind> {
    let is = kind_of(fd.as_fd()).unwrap_or(Kind::Other);
    let stream = matches!(is, Kind::Tcp | Kind::Unix);
    let listener = matches!(is, Kind::TcpListener | Kind::UnixListener);
    let fits = match said {
        "net.Socket" => stream,
        "net.Server" => listener,
        "net.Native" => stream || listener || is == Kind::Pipe,
        "dgram.Socket" | "dgram.Native" => is == Kind::Udp,
        _ => false,
    };
    // Refused, it is dropped here, and closed.
    if fits { Ok((is, fd)) } else { Err(is) }
}
// ANCHOR_END: accept
