//! The child's side: the channel to the parent that started this program.

use std::{
    env,
    error::Error,
    fmt,
    os::{
        fd::{FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::socket::{
        AddressFamily, SockType, SockaddrLike, SockaddrStorage, getsockname,
        getsockopt, sockopt,
    },
};

// ANCHOR: inherited
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
    let mode =
        env::var("NODE_CHANNEL_SERIALIZATION_MODE").unwrap_or("json".to_owned());
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
// ANCHOR_END: inherited

/// Asks the kernel: `EBADF` where nothing is open, `ENOTSOCK` where it is no socket.
fn is_unix(fd: RawFd) -> bool {
    let address = getsockname::<SockaddrStorage>(fd);
    address.is_ok_and(|address| address.family() == Some(AddressFamily::Unix))
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
