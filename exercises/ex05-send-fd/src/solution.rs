//! Your part.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// What one recvmsg(2) has received.
#[derive(Debug)]
pub struct Message {
    /// The bytes. There are none at the end of the stream.
    pub bytes: Vec<u8>,
    /// The descriptors that were sent beside the bytes, in the sender's order.
    pub fds: Vec<OwnedFd>,
}

/// Sends all of `bytes`, at least one, and all of `fds`, which may be none, beside
/// the first byte: one control message of type `SCM_RIGHTS`, unix(7). Blocks until
/// the kernel has them.
///
/// This process's own copies of `fds` are closed when the function returns.
///
/// # Errors
/// The errors of sendmsg(2) and write(2). If there are more than 253 descriptors
/// (`SCM_MAX_FD`, unix(7)), the error is `InvalidInput` and nothing is sent.
pub fn send(
    socket: &UnixStream,
    bytes: &[u8],
    fds: Vec<OwnedFd>,
) -> io::Result<()> {
    todo!(
        "send {} bytes and {} descriptors over socket {}",
        bytes.len(),
        fds.len(),
        socket.as_raw_fd()
    )
}

/// Receives what has arrived: up to 4096 bytes, and all descriptors that were sent
/// beside them, up to 253. Blocks until something arrives.
///
/// Each descriptor is close-on-exec from the moment at which it exists.
///
/// # Errors
/// The errors of recvmsg(2).
///
/// It is also an error, of any kind, if the kernel cut the list of descriptors off
/// (`MSG_CTRUNC`), because this process has too few free descriptor numbers: all or
/// none. The descriptors that did arrive are closed. The next call receives the
/// next message.
pub fn receive(socket: &UnixStream) -> io::Result<Message> {
    todo!(
        "receive bytes and descriptors from socket {}, with one recvmsg(2)",
        socket.as_raw_fd()
    )
}
