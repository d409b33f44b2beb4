//! A Unix stream whose bytes can have a descriptor with them.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    sync::Arc,
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg},
};

/// Descriptors that may wait for the message they belong to. Two are enough for any peer that keeps
/// to the protocol; one that sends them for nothing must not use up our table.
const MAX_WAITING: usize = 8;

/// The most descriptors that the kernel takes in one message: `SCM_MAX_FD`, unix(7).
const MOST_IN_ONE: usize = 253;

/// A non-blocking Unix stream that carries descriptors.
///
/// Reading collects those that arrive, in order: [`take_fd`](FdStream::take_fd). Writing sends the
/// [`attach`](FdStream::attach)ed one with its first byte.
#[derive(Debug)]
pub struct FdStream {
    socket: UnixStream,
    /// `None` keeps the place of one that was lost on the way in, so that the next message does not
    /// get its neighbour's.
    arrived: VecDeque<Option<OwnedFd>>,
    attached: Option<Arc<OwnedFd>>,
    control: Vec<u8>,
}

impl FdStream {
    /// Takes over `socket`, and makes it non-blocking.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(socket: UnixStream) -> io::Result<FdStream> {
        socket.set_nonblocking(true)?;
        let control = cmsg_space!([i32; MOST_IN_ONE]);
        Ok(FdStream { socket, arrived: VecDeque::new(), attached: None, control })
    }

    /// The descriptor that has waited longest. `Some(None)`: it was sent, and lost here, because
    /// this process had no number left for it (`EMFILE`).
    pub fn take_fd(&mut self) -> Option<Option<OwnedFd>> {
        self.arrived.pop_front()
    }

    /// Sends `fd` with the next byte that is written. You may close it once that has left; here it
    /// stays open for as long.
    pub fn attach(&mut self, fd: Arc<OwnedFd>) {
        self.attached = Some(fd);
    }
}

impl Read for FdStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What arrives must not be inherited by the next exec; set later, a fork could come first.
        #[cfg(target_os = "linux")]
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        #[cfg(not(target_os = "linux"))]
        let flags = MsgFlags::empty();

        let mut buffers = [IoSliceMut::new(buffer)];
        let socket = self.socket.as_raw_fd();
        let message = recvmsg::<()>(socket, &mut buffers, Some(&mut self.control), flags)?;
        // One read never brings the descriptors of two writes (unix(7)), and a write has one. If
        // somebody sends more, the first counts and the rest is closed here.
        let first = match message.cmsgs() {
            Ok(parts) => parts.flat_map(received).collect::<Vec<_>>().into_iter().next().map(Some),
            // MSG_CTRUNC: there was one, and no number free for it.
            Err(Errno::ENOBUFS) => Some(None),
            Err(error) => return Err(error.into()),
        };
        let bytes = message.bytes;
        if self.arrived.len() < MAX_WAITING {
            self.arrived.extend(first);
        }
        Ok(bytes)
    }
}

/// The descriptors in one control message, each with an owner.
fn received(part: ControlMessageOwned) -> Vec<OwnedFd> {
    let ControlMessageOwned::ScmRights(numbers) = part else { return Vec::new() };
    // SAFETY: the kernel has just made these for us; nobody else knows them.
    let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
    let owned: Vec<OwnedFd> = numbers.into_iter().map(own).collect();
    #[cfg(not(target_os = "linux"))]
    for fd in &owned {
        let _ =
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC));
    }
    owned
}

impl Write for FdStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let number = self.attached.as_ref().map(|fd| [fd.as_raw_fd()]);
        let rights = number.as_ref().map(|number| ControlMessage::ScmRights(number));
        let socket = self.socket.as_raw_fd();
        let bytes = [IoSlice::new(bytes)];
        let sent = sendmsg::<()>(socket, &bytes, rights.as_slice(), MsgFlags::empty(), None)?;
        // The kernel holds its own reference from here on.
        self.attached = None;
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsFd for FdStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
