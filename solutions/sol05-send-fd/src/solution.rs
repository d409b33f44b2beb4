//! Solution.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, MsgFlags, recvmsg, sendmsg};

use crate::harness::numbers;

/// What one recvmsg(2) has received.
#[derive(Debug)]
pub struct Message {
    /// The bytes. There are none at the end of the stream.
    pub bytes: Vec<u8>,
    /// The descriptors that were sent beside the bytes, in the sender's order.
    pub fds: Vec<OwnedFd>,
}

// ANCHOR: send
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
    mut socket: &UnixStream,
    bytes: &[u8],
    fds: Vec<OwnedFd>,
) -> io::Result<()> {
    let numbers: Vec<RawFd> = fds.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let all = [IoSlice::new(bytes)];
    let fd = socket.as_raw_fd();
    // For more than 253 descriptors the kernel says EINVAL: `InvalidInput`.
    let sent = sendmsg::<()>(fd, &all, &rights, MsgFlags::empty(), None)?;
    // A signal can interrupt sendmsg(2) after a part of the bytes. The descriptors
    // left with the first byte, so the rest goes without.
    socket.write_all(&bytes[sent..])
    // `fds` is dropped here, which closes them. The kernel holds the open files by
    // itself until the message is received.
}
// ANCHOR_END: send

// ANCHOR: receive
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
    let mut bytes = vec![0; 4096];
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    let mut control = cmsg_space!([RawFd; 253]);
    // If fcntl(2) set it later, another thread's fork could come first.
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let fd = socket.as_raw_fd();
    let message = recvmsg::<()>(fd, &mut buffers, Some(&mut control), flags)?;
    let (length, flags) = (message.bytes, message.flags);
    // SAFETY: the kernel has just opened these for us, and nothing else owns them.
    let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
    let fds: Vec<OwnedFd> = numbers(&control).into_iter().map(own).collect();
    if flags.contains(MsgFlags::MSG_CTRUNC) {
        // `fds` is dropped, which closes the descriptors that did arrive.
        return Err(io::Error::other("too few free descriptor numbers"));
    }
    bytes.truncate(length);
    Ok(Message { bytes, fds })
}
// ANCHOR_END: receive
