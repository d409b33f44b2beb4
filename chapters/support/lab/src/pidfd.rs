//! A process that cannot be confused with a later one of the same number (pidfd_open(2)).

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::{errno::Errno, libc, sys::signal::Signal};

/// A process.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// The process that has this number now.
    ///
    /// # Errors
    /// `ESRCH`: there is none.
    pub fn open(pid: libc::pid_t) -> Result<PidFd, Errno> {
        // SAFETY: two numbers; the kernel checks them.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        let fd = Errno::result(fd)?;
        // SAFETY: a new descriptor, which nothing else closes.
        Ok(PidFd(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) }))
    }

    /// Sends it a signal.
    ///
    /// # Errors
    /// `ESRCH`: it was waited for. `EPERM`.
    pub fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let none = std::ptr::null::<libc::siginfo_t>();
        let fd = self.0.as_raw_fd();
        // SAFETY: without a siginfo, the kernel fills it as for kill(2).
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                fd,
                signal as libc::c_int,
                none,
                0,
            )
        };
        Errno::result(result).map(drop)
    }
}
