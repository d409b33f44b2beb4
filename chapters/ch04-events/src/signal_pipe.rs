// ANCHOR: imports
//! The self-pipe: a signal becomes a byte that poll(2) can wait for.
//!
//! A handler may interrupt the program between any two instructions, so it may
//! call next to nothing (signal-safety(7)). write(2) is allowed. The byte that
//! it writes wakes poll(2), and the loop around poll(2) does the work, as for
//! any other descriptor.

use std::{
    io::{self, ErrorKind, Read},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd},
        unix::net::UnixStream,
    },
    sync::atomic::{AtomicI32, AtomicU64, Ordering::SeqCst},
};

use nix::{
    errno::Errno,
    libc,
    sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction},
    unistd::getpid,
};
// ANCHOR_END: imports

// ANCHOR: statics
/// The process that has a [`SignalPipe`]. 0: none.
static OWNER: AtomicI32 = AtomicI32::new(0);

/// The descriptor that the handler writes to.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

/// The signals that arrived and were not taken, one bit each. The kernel does
/// the same: a signal that is sent twice before it is handled is handled once
/// (signal(7)).
static PENDING: AtomicU64 = AtomicU64::new(0);
// ANCHOR_END: statics

// ANCHOR: signal_pipe
/// Signals that poll(2) can wait for. A process has one `SignalPipe` at a time,
/// because a signal has one handler.
#[derive(Debug)]
pub struct SignalPipe {
    /// A pair of sockets does what a pipe does, and std can make it non-blocking.
    reader: UnixStream,
    _writer: UnixStream,
    /// What each signal did before.
    before: Vec<(Signal, SigAction)>,
}
// ANCHOR_END: signal_pipe

impl SignalPipe {
    // ANCHOR: new
    /// From now on, `signals` arrive here, and do not do what they do by
    /// default. A signal that was ignored arrives, too. SIGHUP is the exception:
    /// nohup(1) starts a program with SIGHUP ignored, and then it stays ignored.
    ///
    /// # Errors
    /// `AlreadyExists` while this process has another `SignalPipe`; `EINVAL` for a
    /// signal that cannot be handled (SIGKILL, SIGSTOP); those of
    /// socketpair(2).
    pub fn new(signals: &[Signal]) -> io::Result<SignalPipe> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        // A full pipe must not block the handler. A byte that is lost does no
        // harm: the bytes before it wake poll(2), and PENDING knows the signal.
        writer.set_nonblocking(true)?;
        let claim = OWNER.compare_exchange(0, getpid().as_raw(), SeqCst, SeqCst);
        claim.map_err(|_| ErrorKind::AlreadyExists)?;
        WRITE_END.store(writer.as_raw_fd(), SeqCst);

        let mut pipe = SignalPipe { reader, _writer: writer, before: Vec::new() };
        for &signal in signals {
            pipe.handle(signal)?;
        }
        Ok(pipe)
    }
    // ANCHOR_END: new

    // ANCHOR: handle
    fn handle(&mut self, signal: Signal) -> io::Result<()> {
        // SA_RESTART: read(2) and write(2) go on after the handler. poll(2)
        // does not. SA_NOCLDSTOP: no SIGCHLD for a child that is only stopped.
        let flags = SaFlags::SA_RESTART | SaFlags::SA_NOCLDSTOP;
        let handler = SigHandler::Handler(on_signal);
        let action = SigAction::new(handler, flags, SigSet::empty());
        // SAFETY: `on_signal` makes only calls that are async-signal-safe.
        let before = unsafe { sigaction(signal, &action) }?;
        self.before.push((signal, before));
        let ignored = matches!(before.handler(), SigHandler::SigIgn);
        if signal == Signal::SIGHUP && ignored {
            // SAFETY: an ignored signal runs no code of ours.
            unsafe { sigaction(signal, &before) }?;
        }
        Ok(())
    }
    // ANCHOR_END: handle

    // ANCHOR: take
    /// The signals since the last call, each once. Does not block.
    pub fn take(&mut self) -> Vec<Signal> {
        // First the bytes, then the bits: a signal in between leaves a byte,
        // and wakes poll(2) once more. The other way round it would leave a bit
        // and no byte.
        while self.reader.read(&mut [0; 512]).is_ok_and(|read| read > 0) {}
        let pending = PENDING.swap(0, SeqCst);
        let numbers = (1..=64).filter(|&number| pending & bit(number) != 0);
        numbers.filter_map(|number| Signal::try_from(number).ok()).collect()
    }
    // ANCHOR_END: take
}

// ANCHOR: bit
/// The bit of a signal in [`PENDING`].
fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}
// ANCHOR_END: bit

// ANCHOR: handler
/// The handler.
extern "C" fn on_signal(signal: libc::c_int) {
    // Between fork and exec a child has the handlers of its parent, and writes
    // to the same pipe. Its signals are not its parent's.
    if OWNER.load(SeqCst) != getpid().as_raw() {
        return;
    }
    // The code that was interrupted may be about to read errno.
    let errno = Errno::last_raw();
    PENDING.fetch_or(bit(signal), SeqCst);
    // SAFETY: it reads one byte, which is there.
    unsafe { libc::write(WRITE_END.load(SeqCst), b"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}
// ANCHOR_END: handler

// ANCHOR: as_fd
impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}
// ANCHOR_END: as_fd

// ANCHOR: drop
impl Drop for SignalPipe {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: this action was in place before, so it was sound then.
            let _ = unsafe { sigaction(*signal, before) };
        }
        WRITE_END.store(-1, SeqCst);
        PENDING.store(0, SeqCst);
        OWNER.store(0, SeqCst);
    }
}
// ANCHOR_END: drop
