//! Your part.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::Signal;

/// Signals, as something to read. The program has one of these, until it exits. Its
/// fields are yours.
pub struct Signals {}

impl Signals {
    /// From now on, `signals` do not do what they do by default:
    /// [`take`](Signals::take) counts them.
    ///
    /// # Errors
    /// Those of the system calls that this needs.
    pub fn listen(signals: &[Signal]) -> io::Result<Signals> {
        todo!("a pipe, and a handler for {signals:?} that writes to it")
    }

    /// The signals that have arrived since the last call, and how often each: how
    /// often its handler has run. Does not block.
    pub fn take(&mut self) -> Vec<(Signal, u32)> {
        todo!("empty the pipe; which signals, and how often?")
    }
}

/// What poll(2) waits for. It is readable if there is something to take.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!("the end of the pipe that is read")
    }
}
