//! The child's side: the channel to the parent that started this program.

use std::{
    env,
    error::Error,
    fmt, io,
    os::{
        fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    sync::atomic::{AtomicI32, Ordering},
};

use nix::{
    errno::Errno,
    fcntl::{FcntlArg, FdFlag, fcntl},
    libc::c_int,
    sys::signal::{SigHandler, Signal, signal},
    sys::socket::{
        AddressFamily, Shutdown, SockType, SockaddrLike, SockaddrStorage, getsockname, getsockopt,
        shutdown, sockopt,
    },
};

/// Takes over the channel that the parent has left in `NODE_CHANNEL_FD`, and removes Node's two
/// variables from the environment, so that no child of this process takes the number for its own.
///
/// # Safety
/// - Call it before any thread is started: it changes the environment, which others may be reading.
/// - Call it once, before anything else could have taken that number for a descriptor of its own.
///
/// # Errors
/// When there is no such variable, or what it names is no channel.
pub unsafe fn inherited_channel() -> Result<UnixStream, NoChannel> {
    let number = env::var("NODE_CHANNEL_FD").map_err(|_| NoChannel::NotGiven)?;
    let mode = env::var("NODE_CHANNEL_SERIALIZATION_MODE").unwrap_or("json".to_owned());
    // SAFETY: no other thread, as the caller promises.
    unsafe {
        env::remove_var("NODE_CHANNEL_FD");
        env::remove_var("NODE_CHANNEL_SERIALIZATION_MODE");
    }
    if mode != "json" {
        return Err(NoChannel::Mode(mode));
    }
    let number = match number.parse() {
        Ok(fd) if fd > 2 && is_unix(fd) => fd,
        _ => return Err(NoChannel::NotAChannel(number)),
    };
    // SAFETY: it is open, as was just seen, and ours alone: the parent left it for us.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    let is_stream = getsockopt(&fd, sockopt::SockType) == Ok(SockType::Stream);
    // It came through our own exec. It must not go through the next one.
    if !is_stream || fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).is_err() {
        return Err(NoChannel::NotAChannel(number.to_string()));
    }
    Ok(UnixStream::from(fd))
}

/// Asks the kernel: `EBADF` where nothing is open, `ENOTSOCK` where it is no socket.
fn is_unix(fd: RawFd) -> bool {
    let address = getsockname::<SockaddrStorage>(fd);
    address.is_ok_and(|address| address.family() == Some(AddressFamily::Unix))
}

/// For a worker that ends by itself when its channel ends, and first finishes its answers.
///
/// SIGINT and SIGHUP are ignored from now on: Ctrl-C, or a terminal that closes, sends them to the
/// whole foreground process group, and what to do about it is the parent's business. And the kernel
/// does not kill this process any more when its parent ends, as [`Child::spawn`](crate::Child::spawn)
/// had asked for.
///
/// # Errors
/// Those of signal(2) and prctl(2); none is expected.
pub fn leave_signals_to_parent() -> io::Result<()> {
    // SAFETY: to ignore a signal runs no code of ours.
    unsafe {
        signal(Signal::SIGINT, SigHandler::SigIgn)?;
        signal(Signal::SIGHUP, SigHandler::SigIgn)?;
    }
    // SIGCONT wakes one that was stopped, and does nothing to any other.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGCONT)?;
    Ok(())
}

/// From now on, SIGTERM ends `channel` from this side: what has arrived can still be read, and then
/// comes the end of the stream, as if the parent were gone. The worker's loop does the rest.
///
/// Call it once.
///
/// # Errors
/// Those of dup(2): no descriptor is free.
pub fn sigterm_ends(channel: &UnixStream) -> io::Result<()> {
    // The handler's own copy: its number will not be another's while this process lives.
    CHANNEL.store(channel.try_clone()?.into_raw_fd(), Ordering::SeqCst);
    // SAFETY: the handler makes one call, to shutdown(2). A signal handler may do almost nothing, but
    // that is allowed (signal-safety(7)).
    unsafe { signal(Signal::SIGTERM, SigHandler::Handler(end_channel)) }?;
    Ok(())
}

/// What [`end_channel`] ends.
static CHANNEL: AtomicI32 = AtomicI32::new(-1);

extern "C" fn end_channel(_signal: c_int) {
    let errno = Errno::last_raw();
    let _ = shutdown(CHANNEL.load(Ordering::SeqCst), Shutdown::Read);
    Errno::set_raw(errno);
}

/// Why this process has no channel to a parent.
#[derive(Debug)]
pub enum NoChannel {
    /// There is no `NODE_CHANNEL_FD`: somebody started this by hand.
    NotGiven,
    /// The number is no open Unix stream.
    NotAChannel(String),
    /// Node's `serialization: 'advanced'`, or something newer.
    Mode(String),
}

impl fmt::Display for NoChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoChannel::NotGiven => f.write_str(
                "a worker is started by its parent, which gives it a channel in NODE_CHANNEL_FD; \
                 run this program without 'worker'",
            ),
            NoChannel::NotAChannel(number) => {
                write!(f, "NODE_CHANNEL_FD is '{number}', which is no open Unix stream socket")
            }
            NoChannel::Mode(mode) => {
                write!(f, "the parent speaks '{mode}' on the channel; this worker speaks only json")
            }
        }
    }
}

impl Error for NoChannel {}
