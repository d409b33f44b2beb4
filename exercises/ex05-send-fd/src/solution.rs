//! Your part.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

/// What one recvmsg(2) has brought.
#[derive(Debug)]
pub struct Message {
    /// The bytes. None at the end of the stream.
    pub bytes: Vec<u8>,
    /// The descriptor that came with them.
    pub fd: Option<OwnedFd>,
}

/// Sends all of `bytes`, at least one, and `fd` with the first of them: `SCM_RIGHTS`, unix(7). Blocks
/// until the kernel has them.
///
/// This process's own copy of `fd` is closed when the function returns.
///
/// # Errors
/// Those of sendmsg(2) and write(2).
pub fn send(
    socket: &UnixStream,
    bytes: &[u8],
    fd: Option<OwnedFd>,
) -> io::Result<()> {
    todo!(
        "send {} bytes and {fd:?} over {socket:?}, in one sendmsg(2)",
        bytes.len()
    )
}

/// Receives what has come: up to 4096 bytes, and the descriptor that came with them. Blocks until there
/// is something.
///
/// - The descriptor is close-on-exec from the moment that it is there.
/// - One descriptor belongs to a message. A sender can put up to 253 with it (`SCM_MAX_FD`, unix(7)): the
///   first is returned, and the others are closed.
///
/// # Errors
/// Those of recvmsg(2). Also an error: a descriptor was sent, and it was lost on its way in, because no
/// number is free for it here (`MSG_CTRUNC`).
pub fn receive(socket: &UnixStream) -> io::Result<Message> {
    todo!(
        "receive from {socket:?} with one recvmsg(2), and give every descriptor an owner"
    )
}
