//! Solution.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{
    SockType, SockaddrStorage, getpeername, getsockname, getsockopt, sockopt,
};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd::isatty;

use crate::harness::{Description, Kind, Purpose};

// ANCHOR: describe
/// Asks the kernel what `fd` is. The comments of [`Description`] and
/// [`Kind`] say what is wanted.
///
/// It does not block. It reads nothing from `fd`, accepts nothing from it, and
/// changes nothing about it: the processes that share it notice nothing.
///
/// # Errors
/// The errors of fstat(2), fcntl(2), getsockname(2), getpeername(2) and
/// getsockopt(2). That a socket is not connected (`ENOTCONN`) is no error: it has
/// no peer.
pub fn describe(fd: BorrowedFd<'_>) -> io::Result<Description> {
    let kind = kind_of(fd)?;
    let flags = OFlag::from_bits_truncate(fcntl(fd, FcntlArg::F_GETFL)?);
    // A number of two bits, not two flags: O_RDONLY is 0.
    let access = flags & OFlag::O_ACCMODE;
    let (local, peer) = match getsockname::<SockaddrStorage>(fd.as_raw_fd()) {
        Ok(local) => (Some(local.into()), peer_of(fd)?.map(Into::into)),
        Err(Errno::ENOTSOCK) => (None, None),
        Err(error) => return Err(error.into()),
    };
    Ok(Description {
        kind,
        readable: access != OFlag::O_WRONLY,
        writable: access != OFlag::O_RDONLY,
        blocks: !flags.contains(OFlag::O_NONBLOCK),
        local,
        peer,
    })
}

fn peer_of(fd: BorrowedFd<'_>) -> io::Result<Option<SockaddrStorage>> {
    match getpeername(fd.as_raw_fd()) {
        Ok(peer) => Ok(Some(peer)),
        Err(Errno::ENOTCONN) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
// ANCHOR_END: describe

// ANCHOR: kind
fn kind_of(fd: BorrowedFd<'_>) -> io::Result<Kind> {
    // The type is a number in a few bits of the mode. So it is masked and compared:
    // `contains` would take a socket for a regular file.
    let mode = SFlag::from_bits_truncate(fstat(fd)?.st_mode) & SFlag::S_IFMT;
    Ok(match mode {
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFIFO => Kind::Pipe,
        SFlag::S_IFCHR if isatty(fd).unwrap_or(false) => Kind::Terminal,
        SFlag::S_IFCHR => Kind::Device,
        SFlag::S_IFSOCK => match getsockopt(&fd, sockopt::SockType)? {
            SockType::Stream if getsockopt(&fd, sockopt::AcceptConn)? => {
                Kind::Listener
            }
            SockType::Stream => Kind::Stream,
            SockType::Datagram => Kind::Datagram,
            _ => Kind::Other,
        },
        _ => Kind::Other,
    })
}
// ANCHOR_END: kind

// ANCHOR: accept
/// Returns `fd`, if it can be used for `purpose`:
///
/// - `Accept`: it is a listener.
/// - `Read`: it is a file, a pipe, a terminal, a device or a connected stream
///   socket, and it was opened for reading.
/// - `Write`: it is one of the same, and it was opened for writing.
///
/// Otherwise, and if [`describe`] fails, it closes `fd` and returns `None`.
pub fn accept(fd: OwnedFd, purpose: Purpose) -> Option<OwnedFd> {
    let is = describe(fd.as_fd()).ok()?;
    let has_bytes = match is.kind {
        Kind::File | Kind::Pipe | Kind::Terminal | Kind::Device => true,
        Kind::Stream => is.peer.is_some(),
        Kind::Listener | Kind::Datagram | Kind::Other => false,
    };
    let fits = match purpose {
        Purpose::Accept => is.kind == Kind::Listener,
        Purpose::Read => has_bytes && is.readable,
        Purpose::Write => has_bytes && is.writable,
    };
    // If not, it is dropped, which closes it.
    fits.then_some(fd)
}
// ANCHOR_END: accept
