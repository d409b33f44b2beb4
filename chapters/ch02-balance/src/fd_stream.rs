//! A Unix stream whose bytes can have a descriptor with them.
//!
//! sendmsg(2) can carry *ancillary data* beside the bytes (cmsg(3)). With `SCM_RIGHTS` that is a list
//! of descriptors, and the kernel opens new ones in the receiver for the same open files.

use std::{
    collections::VecDeque,
    io::{self, IoSlice, IoSliceMut, Read, Write},
    ops::Range,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::net::UnixStream,
    },
    ptr,
    sync::Arc,
};

use nix::{
    cmsg_space,
    errno::Errno,
    libc,
    sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg,
    },
};

/// Descriptors that may wait for the message they belong to. Two can: that of a message which has
/// arrived in half, and the next, which the same read can bring. A peer that sends descriptors for
/// nothing must not use up our table.
const MAX_WAITING: usize = 8;

/// The most descriptors that the kernel takes in one message: `SCM_MAX_FD`, unix(7).
const MOST_IN_ONE: usize = 253;

// ANCHOR: fd_stream
/// A non-blocking Unix stream that carries descriptors.
///
/// Reading collects those that arrive, in order: [`take_fd`](FdStream::take_fd). Writing sends the
/// [`attach`](FdStream::attach)ed one with its first byte.
#[derive(Debug)]
pub struct FdStream {
    socket: UnixStream,
    arrived: VecDeque<Arrived>,
    /// All bytes that were ever read.
    read: u64,
    attached: Option<Arc<OwnedFd>>,
    control: Vec<u8>,
}
// ANCHOR_END: fd_stream

// ANCHOR: arrived
/// What came with one read.
#[derive(Debug)]
struct Arrived {
    /// The bytes that it came with. Its message begins among them.
    with: Range<u64>,
    /// `None`: it was lost on the way in.
    fd: Option<OwnedFd>,
}
// ANCHOR_END: arrived

impl FdStream {
    /// Takes over `socket`, and makes it non-blocking.
    ///
    /// # Errors
    /// Those of fcntl(2).
    pub fn new(socket: UnixStream) -> io::Result<FdStream> {
        socket.set_nonblocking(true)?;
        let control = cmsg_space!([i32; MOST_IN_ONE]);
        Ok(FdStream {
            socket,
            arrived: VecDeque::new(),
            read: 0,
            attached: None,
            control,
        })
    }

    // ANCHOR: take_fd
    /// The descriptor that came with the message which is these bytes of the stream. `None` if none
    /// came, or if it was lost, because this process had no number free for it (`EMFILE`).
    ///
    /// A descriptor that came with an earlier message, and that nobody has taken, is closed.
    pub fn take_fd(&mut self, message: &Range<u64>) -> Option<OwnedFd> {
        self.arrived.retain(|it| it.with.end > message.start);
        let begins_there = self.arrived.front()?.with.start <= message.start;
        if begins_there { self.arrived.pop_front()?.fd } else { None }
    }
    // ANCHOR_END: take_fd

    /// As [`take_fd`](FdStream::take_fd), for bytes that are no message: closes what came with them,
    /// and tells whether there was something.
    pub fn discard_fd(&mut self, bytes: &Range<u64>) -> bool {
        let before = self.arrived.len();
        self.arrived.retain(|it| it.with.end > bytes.end);
        self.arrived.len() < before
    }

    /// Sends `fd` with the next byte that is written, and keeps it open until then. It is an [`Arc`]
    /// because its sender keeps it too, until it is acknowledged.
    pub fn attach(&mut self, fd: Arc<OwnedFd>) {
        self.attached = Some(fd);
    }
}

// ANCHOR: read
impl Read for FdStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // What arrives must not be inherited by the next exec; set later, a fork could come first.
        #[cfg(target_os = "linux")]
        let flags = MsgFlags::MSG_CMSG_CLOEXEC;
        #[cfg(not(target_os = "linux"))]
        let flags = MsgFlags::empty();

        let mut buffers = [IoSliceMut::new(buffer)];
        let socket = self.socket.as_raw_fd();
        self.control.fill(0);
        let message =
            recvmsg::<()>(socket, &mut buffers, Some(&mut self.control), flags)?;
        let bytes = message.bytes;
        // Descriptors are a barrier: a read ends behind the first bytes that have any (unix(7)).
        let fd = match message.cmsgs() {
            // All of them get an owner, so that those too many are closed. A message has one.
            Ok(parts) => parts
                .flat_map(received)
                .collect::<Vec<_>>()
                .into_iter()
                .next()
                .map(Some),
            // MSG_CTRUNC: there was one, and no number free for it. Of several, some may be here.
            Err(Errno::ENOBUFS) => {
                drop(cut_off(&self.control));
                Some(None)
            }
            Err(error) => return Err(error.into()),
        };
        let with = self.read..self.read + bytes as u64;
        self.read = with.end;
        if self.arrived.len() < MAX_WAITING {
            self.arrived.extend(fd.map(|fd| Arrived { with, fd }));
        }
        Ok(bytes)
    }
}
// ANCHOR_END: read

/// The descriptors in one control message, each with an owner.
fn received(part: ControlMessageOwned) -> Vec<OwnedFd> {
    let ControlMessageOwned::ScmRights(numbers) = part else { return Vec::new() };
    // SAFETY: the kernel has just made these for us; nobody else knows them.
    let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
    let owned: Vec<OwnedFd> = numbers.into_iter().map(own).collect();
    // Late, but better than never: a fork may come in between.
    #[cfg(not(target_os = "linux"))]
    for fd in &owned {
        let _ = nix::fcntl::fcntl(
            fd,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC),
        );
    }
    owned
}

/// The descriptors in a control message that was cut off, which nix does not show (cmsg(3): a header
/// with its length, then the numbers).
fn cut_off(control: &[u8]) -> Vec<OwnedFd> {
    // SAFETY: the buffer is longer than a header, and any bytes make one: it has only numbers.
    let header: libc::cmsghdr =
        unsafe { ptr::read_unaligned(control.as_ptr().cast()) };
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_RIGHTS)
    {
        return Vec::new();
    }
    // SAFETY: it only computes where the numbers begin.
    let begin = unsafe { libc::CMSG_LEN(0) } as usize;
    let numbers = control.get(begin..header.cmsg_len as usize).unwrap_or_default();
    let numbers = numbers.chunks_exact(4).filter_map(|bytes| bytes.try_into().ok());
    // SAFETY: the kernel has just made these for us; nobody else knows them.
    numbers
        .map(|bytes| unsafe { OwnedFd::from_raw_fd(i32::from_ne_bytes(bytes)) })
        .collect()
}

// ANCHOR: write
impl Write for FdStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let number = self.attached.as_ref().map(|fd| [fd.as_raw_fd()]);
        let rights =
            number.as_ref().map(|number| ControlMessage::ScmRights(number));
        let socket = self.socket.as_raw_fd();
        let bytes = [IoSlice::new(bytes)];
        let sent = sendmsg::<()>(
            socket,
            &bytes,
            rights.as_slice(),
            MsgFlags::empty(),
            None,
        )?;
        // The kernel holds its own reference from here on.
        self.attached = None;
        Ok(sent)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
// ANCHOR_END: write

impl AsFd for FdStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
