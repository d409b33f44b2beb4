//! The self-pipe: a signal handler that only writes a byte, and a loop that reads it.
//!
//! A handler may interrupt any instruction, so it may call almost nothing (signal-safety(7)). But
//! it may write(2). What it writes wakes poll(2), and the work is done there, in the open.
//!
//! This is known as the self-pipe trick. A pair of sockets serves as the pipe here, because std can
//! make it non-blocking.

use std::{
    io::{self, ErrorKind, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::atomic::{AtomicI32, AtomicU64, Ordering},
};

use nix::{
    errno::Errno,
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::getpid,
};

// ANCHOR: statics
/// The process whose pipe it is; 0 where there is none.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// The descriptor that the handler writes to.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

/// The signals that have come and were not taken, one bit each. A signal that comes again before it
/// was taken is the same one, as it is in the kernel (signal(7)).
static PENDING: AtomicU64 = AtomicU64::new(0);
// ANCHOR_END: statics

// ANCHOR: signal_pipe
/// Signals, as something to read. A process has at most one of these.
#[derive(Debug)]
pub struct SignalPipe {
    reader: UnixStream,
    _writer: UnixStream,
    before: Vec<(Signal, SigAction)>,
}
// ANCHOR_END: signal_pipe

impl SignalPipe {
    // ANCHOR: new
    /// From now on, `signals` do not do what they do by default, but are heard here. So is what was
    /// ignored before, except SIGHUP: a program that nohup(1) has started is not to hear it.
    ///
    /// # Errors
    /// `AlreadyExists` while this process has one; those of socketpair(2); `EINVAL` for a signal
    /// that cannot be caught (SIGKILL, SIGSTOP).
    pub fn new(signals: &[Signal]) -> io::Result<SignalPipe> {
        let (reader, writer) = UnixStream::pair()?;
        // A full pipe must not block the handler. A byte too many can be missed: it only wakes.
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        let claimed = OWNER.compare_exchange(
            0,
            getpid().as_raw(),
            Ordering::SeqCst,
            Ordering::SeqCst,
        );
        claimed.map_err(|_| ErrorKind::AlreadyExists)?;
        WRITE_END.store(writer.as_raw_fd(), Ordering::SeqCst);

        let mut pipe = SignalPipe { reader, _writer: writer, before: Vec::new() };
        // SA_RESTART: read(2) and write(2) go on after the handler. poll(2) always returns (EINTR).
        let handler = SigHandler::Handler(on_signal);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        for &signal in signals {
            // SAFETY: `on_signal` makes only calls that are async-signal-safe.
            let before = unsafe { sigaction(signal, &action) }?;
            pipe.before.push((signal, before));
            // nohup(1) starts a program with SIGHUP ignored, and that is to stay so.
            if signal == Signal::SIGHUP
                && matches!(before.handler(), SigHandler::SigIgn)
            {
                // SAFETY: what was there before is put back.
                unsafe { sigaction(signal, &before) }?;
            }
        }
        Ok(pipe)
    }
    // ANCHOR_END: new

    // ANCHOR: take
    /// The signals since the last call, each once. Does not block.
    pub fn take(&mut self) -> Vec<Signal> {
        let mut bytes = [0; 512];
        // 0 never comes: this process holds the other end. An error means that it is empty. Only then
        // are the bits taken: a signal that comes in between leaves its byte, and wakes once more.
        while let Ok(1..) = self.reader.read(&mut bytes) {}
        let pending = PENDING.swap(0, Ordering::SeqCst);
        let numbers = (1..=64).filter(|number| pending & bit(*number) != 0);
        numbers.filter_map(|number| Signal::try_from(number).ok()).collect()
    }
    // ANCHOR_END: take
}

/// The place of a signal in [`PENDING`].
fn bit(number: i32) -> u64 {
    1 << (number - 1)
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

// ANCHOR: drop
impl Drop for SignalPipe {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: what was there before is put back. It was allowed to be there.
            let _ = unsafe { sigaction(*signal, before) };
        }
        WRITE_END.store(-1, Ordering::SeqCst);
        PENDING.store(0, Ordering::SeqCst);
        OWNER.store(0, Ordering::SeqCst);
    }
}
// ANCHOR_END: drop

// ANCHOR: handler
/// The handler.
extern "C" fn on_signal(number: libc::c_int) {
    // A forked child has its parent's handlers until it calls exec, and the parent's pipe. What it
    // would write there wakes its parent for nothing, and the bit would be set in the child alone.
    if OWNER.load(Ordering::SeqCst) != getpid().as_raw() {
        return;
    }
    // The interrupted code may be about to read errno.
    let errno = Errno::last_raw();
    PENDING.fetch_or(bit(number), Ordering::SeqCst);
    // SAFETY: one byte that is there, to a descriptor that closes only after this handler is gone.
    unsafe {
        libc::write(WRITE_END.load(Ordering::SeqCst), c"!".as_ptr().cast(), 1)
    };
    Errno::set_raw(errno);
}
// ANCHOR_END: handler
