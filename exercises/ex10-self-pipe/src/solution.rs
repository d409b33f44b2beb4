//! Your part.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::Signal;

/// Signals, as something to read. The program makes one, and keeps it until it ends. Its fields are
/// yours.
pub struct Signals {}

impl Signals {
    /// From now on, `signals` do not do what they do by default: they are heard here.
    ///
    /// # Errors
    /// Those of the system calls that this takes.
    pub fn listen(signals: &[Signal]) -> io::Result<Signals> {
        todo!("a pipe, and a handler for {signals:?} that writes into it")
    }

    /// The signals since the last call, each once however often it came. Does not block.
    pub fn take(&mut self) -> Vec<Signal> {
        todo!("empty the pipe; which signals was it?")
    }
}

/// What poll(2) is to wait for. It is readable when there is something to take.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        todo!("the end of the pipe that is read")
    }
}
