//! Solution.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, recvmsg, sendmsg,
};

/// What one recvmsg(2) has brought.
#[derive(Debug)]
pub struct Message {
    /// The bytes. None at the end of the stream.
    pub bytes: Vec<u8>,
    /// The descriptor that came with them.
    pub fd: Option<OwnedFd>,
}

// ANCHOR: send
/// Sends all of `bytes`, at least one, and `fd` with the first of them: `SCM_RIGHTS`, unix(7). Blocks
/// until the kernel has them.
///
/// This process's own copy of `fd` is closed when the function returns.
///
/// # Errors
/// Those of sendmsg(2) and write(2).
pub fn send(
    mut socket: &UnixStream,
    bytes: &[u8],
    fd: Option<OwnedFd>,
) -> io::Result<()> {
    let number = fd.as_ref().map(|fd| [fd.as_raw_fd()]);
    let rights = number.as_ref().map(|number| ControlMessage::ScmRights(number));
    let all = [IoSlice::new(bytes)];
    let sent = sendmsg::<()>(
        socket.as_raw_fd(),
        &all,
        rights.as_slice(),
        MsgFlags::empty(),
        None,
    )?;
    // A signal can interrupt it half-way. The descriptor has left with the first byte: not again.
    socket.write_all(&bytes[sent..])
    // `fd` is dropped here, and so closed. The message under way holds its own reference.
}
// ANCHOR_END: send

// ANCHOR: receive
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
    let mut bytes = vec![0; 4096];
    let mut buffers = [IoSliceMut::new(&mut bytes)];
    // Room for as many as can come: in a buffer for one, the kernel would cut off the others.
    let mut control = cmsg_space!([RawFd; 253]);
    // Set by a call of ours afterwards, close-on-exec could come too late: after another thread's fork.
    let flags = MsgFlags::MSG_CMSG_CLOEXEC;
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut buffers, Some(&mut control), flags)?;
    let fd = descriptors(&message)?.into_iter().next();
    let read = message.bytes;
    bytes.truncate(read);
    Ok(Message { bytes, fd })
}

/// Every descriptor that has come, with an owner: whoever drops the list closes them.
fn descriptors(message: &RecvMsg<()>) -> io::Result<Vec<OwnedFd>> {
    let mut owned = Vec::new();
    // ENOBUFS says MSG_CTRUNC.
    for part in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = part {
            // SAFETY: the kernel has just made these for us; nobody else knows them.
            owned.extend(
                numbers.into_iter().map(|it| unsafe { OwnedFd::from_raw_fd(it) }),
            );
        }
    }
    Ok(owned)
}
// ANCHOR_END: receive
