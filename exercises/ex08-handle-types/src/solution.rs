//! Your part.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::harness::{Description, Purpose};

/// Asks the kernel what `fd` is. The comments of [`Description`] and
/// [`Kind`](crate::harness::Kind) say what is wanted.
///
/// It does not block. It reads nothing from `fd`, accepts nothing from it, and
/// changes nothing about it: the processes that share it notice nothing.
///
/// # Errors
/// The errors of fstat(2), fcntl(2), getsockname(2), getpeername(2) and
/// getsockopt(2). That a socket is not connected (`ENOTCONN`) is no error: it has
/// no peer.
pub fn describe(fd: BorrowedFd<'_>) -> io::Result<Description> {
    todo!("ask the kernel about {fd:?}")
}

/// Returns `fd`, if it can be used for `purpose`:
///
/// - `Accept`: it is a listener.
/// - `Read`: it is a file, a pipe, a terminal, a device or a connected stream
///   socket, and it was opened for reading.
/// - `Write`: it is one of the same, and it was opened for writing.
///
/// Otherwise, and if [`describe`] fails, it closes `fd` and returns `None`.
pub fn accept(fd: OwnedFd, purpose: Purpose) -> Option<OwnedFd> {
    todo!("can {fd:?} be used to {purpose:?}?")
}
