//! To end when it is time to, and not before.

use std::{
    io,
    os::{fd::IntoRawFd, unix::net::UnixStream},
    sync::atomic::{AtomicI32, Ordering},
};

use nix::{
    errno::Errno,
    libc::c_int,
    sys::{
        signal::{SigHandler, Signal, signal},
        socket::{Shutdown, shutdown},
    },
};

// ANCHOR: leave_signals
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
// ANCHOR_END: leave_signals

// ANCHOR: signals_end
/// From now on, these signals end `stream` from this side: what has arrived can still be read, and
/// then comes the end of the stream. A loop that waits for the stream so hears of the signal. A worker
/// that gives its channel acts as if its parent were gone.
///
/// Call it once.
///
/// # Errors
/// Those of dup(2): no descriptor is free.
pub fn signals_end(stream: &UnixStream, signals: &[Signal]) -> io::Result<()> {
    // The handler's own copy: its number will not be another's while this process lives.
    STREAM.store(stream.try_clone()?.into_raw_fd(), Ordering::SeqCst);
    for &each in signals {
        // SAFETY: the handler makes one call, to shutdown(2). A signal handler may do almost nothing,
        // but that is allowed (signal-safety(7)).
        unsafe { signal(each, SigHandler::Handler(end_stream)) }?;
    }
    Ok(())
}

/// What [`end_stream`] ends.
static STREAM: AtomicI32 = AtomicI32::new(-1);

extern "C" fn end_stream(_signal: c_int) {
    let errno = Errno::last_raw();
    let _ = shutdown(STREAM.load(Ordering::SeqCst), Shutdown::Read);
    Errno::set_raw(errno);
}
// ANCHOR_END: signals_end
