//! Your part.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::harness::Kind;

/// Asks the kernel what `fd` is. It does not read from it, accept from it or change it, and does not
/// block: its owner notices nothing.
///
/// # Errors
/// Those of fstat(2), getsockname(2) and getsockopt(2).
pub fn kind_of(fd: BorrowedFd<'_>) -> io::Result<Kind> {
    todo!("ask the kernel about {fd:?}")
}

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
    todo!("is {fd:?} what the envelope says, '{said}'?")
}
