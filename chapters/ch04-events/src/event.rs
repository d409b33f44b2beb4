//! What happens to a child, in Node's words.

use std::{error::Error, fmt, io, os::fd::OwnedFd};

use ch01_fork_ipc::{Ended, RecvError, SendError};
use ch03_handles::{Received, WrongHandle};
use cli::reason;
use nix::{errno::Errno, sys::signal::Signal};
use serde_json::Value;

// ANCHOR: id
/// Which child. The system gives a process id to another process as soon as its owner was waited
/// for; these are never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);
// ANCHOR_END: id

/// How it ended; or the error, if it could not be started or could not be waited for.
pub type Outcome = Result<Ended, Errno>;

// ANCHOR: event
/// What happened.
///
/// For one child they come in this order: `Spawn`, any number of `Message`, `Acked`, `Output` and
/// `Error`, then `Disconnect`, `Exit`, `Close`. If another process still holds the child's end of the
/// channel or of its output, `Exit` comes first; `Disconnect` and `Close` follow when that process
/// closes them.
///
/// One that cannot be started: `Error`, `Disconnect`, `Close`.
#[derive(Debug)]
pub enum Event {
    /// The child runs its program.
    Spawn(Id),
    /// It sent a message.
    Message(Id, Received),
    /// It has the oldest handle that was under way to it. Node keeps this to itself.
    Acked(Id),
    /// It will not acknowledge this handle, which was sent with this message: it cannot take it, or
    /// the channel has closed. The handle can be sent to another.
    Unacknowledged(Id, Value, OwnedFd),
    /// It printed something, on standard output or standard error, where its command has these
    /// `Stdio::piped()`. Node: `data` on `child.stdout`.
    Output(Id, Vec<u8>),
    /// The channel is closed, by either side.
    Disconnect(Id),
    /// The process has ended, and was waited for.
    Exit(Id, Ended),
    /// It has ended, its channel and its output too. Nothing more will come from it.
    Close(Id, Outcome),
    /// Something did not work. The child may live on.
    Error(Id, ChildError),
    /// This process itself was sent a signal.
    Signal(Signal),
}
// ANCHOR_END: event

// ANCHOR: child_error
/// What did not work.
#[derive(Debug)]
pub enum ChildError {
    /// It could not be started: this program, for this reason.
    Start(String, io::Error),
    /// It could not be sent a signal.
    Kill(io::Error),
    /// The channel is closed; nothing was sent.
    ChannelClosed,
    /// A message was not sent.
    Send(SendError),
    /// It sent something that is no message.
    Receive(RecvError),
    /// It sent a handle that is not what it said.
    Wrong(WrongHandle),
    /// It sent a handle, and that did not arrive.
    Missing,
    /// It could not take a handle, three times. That is closed.
    Refused,
    /// It cannot be waited for.
    Wait(io::Error),
}
// ANCHOR_END: child_error

impl ChildError {
    /// Node's `error.code` where Node has one: the name of the system's error, such as `ENOENT`, or
    /// `ERR_IPC_CHANNEL_CLOSED`.
    pub fn code(&self) -> String {
        match self {
            ChildError::Start(_, error)
            | ChildError::Kill(error)
            | ChildError::Wait(error)
            | ChildError::Send(SendError::Io(error))
            | ChildError::Receive(RecvError::Io(error)) => {
                format!("{:?}", errno(error))
            }
            ChildError::ChannelClosed => "ERR_IPC_CHANNEL_CLOSED".to_owned(),
            ChildError::Send(SendError::Full) => "ENOBUFS".to_owned(),
            ChildError::Send(SendError::TooLong) => "EMSGSIZE".to_owned(),
            ChildError::Receive(RecvError::TooLong) => "EMSGSIZE".to_owned(),
            ChildError::Receive(RecvError::Json(_) | RecvError::HalfLine) => {
                "EBADMSG".to_owned()
            }
            ChildError::Wrong(_) => "EPROTOTYPE".to_owned(),
            ChildError::Missing | ChildError::Refused => "EMFILE".to_owned(),
        }
    }
}

/// The system's number for an error.
pub(crate) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw)
}

impl fmt::Display for ChildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ChildError::Start(program, error) => {
                write!(f, "cannot start {program}: {}", reason(error))
            }
            ChildError::Kill(error) => {
                write!(f, "cannot send a signal: {}", reason(error))
            }
            ChildError::ChannelClosed => f.write_str("the channel is closed"),
            ChildError::Send(error) => error.fmt(f),
            ChildError::Receive(error) => error.fmt(f),
            ChildError::Wrong(error) => error.fmt(f),
            ChildError::Missing => {
                f.write_str("a handle was lost: no descriptor is free here")
            }
            ChildError::Refused => {
                f.write_str("the child cannot take a handle, after three tries")
            }
            ChildError::Wait(error) => {
                write!(f, "cannot wait for it: {}", reason(error))
            }
        }
    }
}

impl Error for ChildError {}
