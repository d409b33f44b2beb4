// ANCHOR: imports
//! What happens to a child, in Node's words.

use std::{error::Error, fmt, io, os::fd::OwnedFd};

use ch01_fork_ipc::{ExitStatus, RecvError, SendError};
use ch03_handles::Handle;
use cli::reason;
use nix::{errno::Errno, sys::signal::Signal};
use serde_json::Value;
// ANCHOR_END: imports

// ANCHOR: id
/// Names a child. The system may give a process id to another process once the
/// child was waited for; an `Id` is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub u64);

/// How a child exited; or the error, if it could not be started or waited for.
pub type Outcome = Result<ExitStatus, Errno>;
// ANCHOR_END: id

// ANCHOR: event
/// What happened.
///
/// The events of one child are in this order: `Spawn`; any number of `Message`,
/// `Acked`, `Returned`, `Output` and `Error`; then `Disconnect`, `Exit`,
/// `Close`. A child that closes its channel early has its `Disconnect` early.
/// If a descendant of the child still holds the channel, or the output, then
/// `Exit` comes first, and `Disconnect` and `Close` follow when the descendant
/// closes them.
///
/// The events of a child that cannot be started: `Error`, `Disconnect`,
/// `Close`.
#[derive(Debug)]
pub enum Event {
    /// The child runs its program.
    Spawn(Id),
    /// The child sent a message, perhaps with a handle.
    Message(Id, Value, Option<Handle>),
    /// The child acknowledged the oldest handle in flight. Node keeps this to
    /// itself.
    Acked(Id),
    /// A handle comes back, with its message: the child did not take it, and
    /// never will. It can be sent to another child.
    Returned(Id, Value, OwnedFd),
    /// The child printed something, on standard output or standard error, if
    /// its command has these `Stdio::piped()`. Node: `data` on `child.stdout`.
    Output(Id, Vec<u8>),
    /// The channel is closed, by either side. No message follows.
    Disconnect(Id),
    /// The child exited, and was waited for.
    Exit(Id, ExitStatus),
    /// The child exited, and its channel and its output are closed. This is its
    /// last event.
    Close(Id, Outcome),
    /// Something did not work. The child may run on.
    Error(Id, ChildError),
    /// The descriptor that [`Children::watch`](crate::Children::watch) was given
    /// can be read.
    Readable,
    /// This process received a signal itself.
    Signal(Signal),
}
// ANCHOR_END: event

// ANCHOR: child_error
/// What did not work.
#[derive(Debug)]
pub enum ChildError {
    /// The child could not be started: its program, and why.
    Start(String, io::Error),
    /// The child could not be sent a signal.
    Kill(io::Error),
    /// A message was not sent.
    Send(SendError),
    /// There was no channel to disconnect.
    Disconnected,
    /// The channel failed, and is closed now.
    Receive(RecvError),
    /// The child sent something that is no message, or a handle that cannot be
    /// used.
    Ignored(String),
    /// The child cannot be waited for.
    Wait(io::Error),
}
// ANCHOR_END: child_error

// ANCHOR: words
impl ChildError {
    /// Node's `error.code` if Node has one: the name of the system's error, such as
    /// `ENOENT`, or `ERR_IPC_CHANNEL_CLOSED`.
    pub fn code(&self) -> String {
        let code = match self {
            ChildError::Start(_, error)
            | ChildError::Kill(error)
            | ChildError::Wait(error)
            | ChildError::Send(SendError::Io(error))
            | ChildError::Receive(RecvError::Io(error)) => {
                return format!("{:?}", errno(error));
            }
            ChildError::Disconnected => "ERR_IPC_DISCONNECTED",
            ChildError::Send(SendError::Closed) => "ERR_IPC_CHANNEL_CLOSED",
            ChildError::Send(SendError::Full) => "ENOBUFS",
            ChildError::Send(SendError::TooLong) => "EMSGSIZE",
            ChildError::Receive(RecvError::TooLong) => "EMSGSIZE",
            ChildError::Receive(_) | ChildError::Ignored(_) => "EBADMSG",
        };
        code.to_owned()
    }
}

/// The system's number for an error. std itself refuses a command with a zero byte
/// in it; that error has no number, and becomes `EINVAL`.
pub(crate) fn errno(error: &io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EINVAL, Errno::from_raw)
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
            ChildError::Disconnected => {
                f.write_str("the channel is closed already")
            }
            ChildError::Send(error) => error.fmt(f),
            ChildError::Receive(error) => error.fmt(f),
            ChildError::Ignored(why) => f.write_str(why),
            ChildError::Wait(error) => {
                write!(f, "cannot wait for the child: {}", reason(error))
            }
        }
    }
}

impl Error for ChildError {}
// ANCHOR_END: words
