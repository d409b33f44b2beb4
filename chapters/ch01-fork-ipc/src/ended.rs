//! How a child ended.

use std::fmt;

use nix::sys::signal::Signal;

// ANCHOR: ended
/// How a process ended. Never both: Node's `exit` event has `code` or `signal`, the other is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// By itself, with a code from 0 to 255.
    Exited(i32),
    /// By a signal that it did not handle.
    Signaled(Signal),
    /// By a real-time signal, of which there are only numbers (signal(7)). Linux.
    RealTime(i32),
}
// ANCHOR_END: ended

impl Ended {
    /// By the signal with this number.
    pub(crate) fn signaled(number: i32) -> Ended {
        match Signal::try_from(number) {
            Ok(signal) => Ended::Signaled(signal),
            Err(_) => Ended::RealTime(number),
        }
    }

    /// Node's `signal`: the name of the signal that ended it; `None`, if none did.
    pub fn signal(self) -> Option<String> {
        match self {
            Ended::Exited(_) => None,
            Ended::Signaled(signal) => Some(signal.as_str().to_owned()),
            Ended::RealTime(number) => Some(format!("SIG{number}")),
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ended::Exited(code) => write!(f, "exited with code {code}"),
            Ended::Signaled(signal) => write!(f, "was killed by {signal}"),
            Ended::RealTime(number) => write!(f, "was killed by signal {number}"),
        }
    }
}
