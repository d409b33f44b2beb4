//! Solution.

use std::env;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt as _;
use std::process::{self, Command};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc;
use nix::sys::socket::{
    AddressFamily, SockaddrLike as _, SockaddrStorage, getsockname, getsockopt,
    sockopt,
};

/// The first descriptor that is passed by the protocol.
const FIRST: RawFd = 3;

// ANCHOR: inherited
/// The listener that this process has inherited by systemd's protocol
/// (sd_listen_fds(3)). `Ok(None)` if there is none for this process.
///
/// # Errors
/// If `LISTEN_FDS` is not 1, or if descriptor 3 is not a TCP socket that listens.
///
/// # Safety
/// This process has one thread, and has opened no descriptor yet.
pub unsafe fn inherited() -> io::Result<Option<TcpListener>> {
    let [pid, count, _] =
        ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| {
            let value = env::var(name).ok();
            // SAFETY: no other thread reads the environment: there is none.
            unsafe { env::remove_var(name) };
            value
        });
    if pid != Some(process::id().to_string()) {
        return Ok(None);
    }
    if count.as_deref() != Some("1") {
        return Err(invalid("LISTEN_FDS is not 1"));
    }
    // SAFETY: the kernel is only asked, and answers EBADF if it is not open.
    let fd = unsafe { BorrowedFd::borrow_raw(FIRST) };
    if !is_tcp_listener(fd)? {
        return Err(invalid("it is no TCP socket that listens"));
    }
    fcntl(fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    // SAFETY: it is open, and LISTEN_PID says that it is ours.
    Ok(Some(unsafe { TcpListener::from_raw_fd(FIRST) }))
}
// ANCHOR_END: inherited

// ANCHOR: is_tcp_listener
fn is_tcp_listener(fd: BorrowedFd<'_>) -> io::Result<bool> {
    let address: SockaddrStorage = getsockname(fd.as_raw_fd())?;
    let is_inet = matches!(
        address.family(),
        Some(AddressFamily::Inet | AddressFamily::Inet6)
    );
    Ok(is_inet && getsockopt(&fd, sockopt::AcceptConn)?)
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, why)
}
// ANCHOR_END: is_tcp_listener

// ANCHOR: exec_with
/// Executes `program`, a path, with these arguments, in the place of this program,
/// so that its [`inherited`] returns `listener`.
///
/// Returns only if that fails. Then everything is as before.
pub fn exec_with(
    listener: &TcpListener,
    program: &str,
    arguments: &[String],
) -> io::Error {
    let saved = match Saved::new() {
        Ok(saved) => saved,
        Err(error) => return error,
    };
    let mut command = Command::new(program);
    command.args(arguments).env("LISTEN_FDS", "1");
    command.env("LISTEN_PID", process::id().to_string()); // exec keeps it
    let error = match move_to_first(listener.as_fd()) {
        Ok(()) => command.exec(),
        Err(error) => error,
    };
    saved.restore();
    error
}

/// Descriptor 3 becomes a copy of `fd` that is not close-on-exec.
fn move_to_first(fd: BorrowedFd<'_>) -> io::Result<()> {
    // The copy has another number than 3. If both numbers were the same, dup2 would
    // do nothing, and the descriptor would stay close-on-exec.
    let copy = copy_above_first(fd)?;
    // SAFETY: `Saved` has a copy of what descriptor 3 is.
    Errno::result(unsafe { libc::dup2(copy.as_raw_fd(), FIRST) })?;
    Ok(())
}

/// A copy that is close-on-exec, and not descriptor 3.
fn copy_above_first(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(FIRST + 1))?;
    // SAFETY: the descriptor is new, so nothing else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}
// ANCHOR_END: exec_with

// ANCHOR: saved
/// What descriptor 3 is: a copy, and whether it is close-on-exec. `None` if it is
/// closed.
struct Saved(Option<(OwnedFd, FdFlag)>);

impl Saved {
    fn new() -> io::Result<Saved> {
        // SAFETY: it is only copied, which fails if it is not open.
        let fd = unsafe { BorrowedFd::borrow_raw(FIRST) };
        match fcntl(fd, FcntlArg::F_GETFD) {
            Ok(flags) => {
                let flags = FdFlag::from_bits_retain(flags);
                Ok(Saved(Some((copy_above_first(fd)?, flags))))
            }
            Err(Errno::EBADF) => Ok(Saved(None)),
            Err(error) => Err(error.into()),
        }
    }

    fn restore(self) {
        match self.0 {
            // SAFETY: descriptor 3 is the copy of `move_to_first`, or unchanged.
            Some((copy, flags)) => unsafe {
                libc::dup2(copy.as_raw_fd(), FIRST);
                libc::fcntl(FIRST, libc::F_SETFD, flags.bits());
            },
            // SAFETY: only `move_to_first` can have opened it.
            None => unsafe {
                libc::close(FIRST);
            },
        }
    }
}
// ANCHOR_END: saved
