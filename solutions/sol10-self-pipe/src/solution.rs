//! Solution.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::getpid;

// ANCHOR: statics
/// A handler is given a number and nothing else, so what it needs is here. Whose pipe it is:
static OWNER: AtomicI32 = AtomicI32::new(0);

/// The descriptor that the handler writes to.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

/// Which signals have come and were not taken, a bit for each. They cannot be full.
static PENDING: AtomicU64 = AtomicU64::new(0);
// ANCHOR_END: statics

/// Signals, as something to read. The program makes one, and keeps it until it ends.
pub struct Signals {
    reader: UnixStream,
    _writer: UnixStream,
}

// ANCHOR: signals
impl Signals {
    /// From now on, `signals` do not do what they do by default: they are heard here.
    ///
    /// # Errors
    /// Those of the system calls that this takes.
    pub fn listen(signals: &[Signal]) -> io::Result<Signals> {
        // A pair of sockets does what a pipe does, and std closes it on exec.
        let (reader, writer) = UnixStream::pair()?;
        // The loop must not block when it is empty, nor the handler when it is full.
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        // Before the first signal can come.
        OWNER.store(getpid().as_raw(), Ordering::SeqCst);
        WRITE_END.store(writer.as_raw_fd(), Ordering::SeqCst);
        let handler = SigHandler::Handler(on_signal);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        for &signal in signals {
            // SAFETY: `on_signal` makes only calls that are async-signal-safe (signal-safety(7)).
            unsafe { sigaction(signal, &action) }?;
        }
        Ok(Signals { reader, _writer: writer })
    }

    /// The signals since the last call, each once however often it came. Does not block.
    pub fn take(&mut self) -> Vec<Signal> {
        // First the bytes, until there is none; then the bits. A signal that comes in between leaves
        // its byte, and the loop comes back. The other way round, it would leave its bit only.
        while let Ok(1..) = self.reader.read(&mut [0; 512]) {}
        let pending = PENDING.swap(0, Ordering::SeqCst);
        Signal::iterator()
            .filter(|signal| pending & bit(*signal as c_int) != 0)
            .collect()
    }
}
// ANCHOR_END: signals

/// What poll(2) is to wait for. It is readable when there is something to take.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

// ANCHOR: handler
extern "C" fn on_signal(number: c_int) {
    // A forked child has this handler too, and the parent's pipe.
    if OWNER.load(Ordering::SeqCst) != getpid().as_raw() {
        return;
    }
    // The interrupted code may be about to read errno, and write(2) may fail.
    let errno = Errno::last_raw();
    PENDING.fetch_or(bit(number), Ordering::SeqCst);
    // SAFETY: one byte that is there, to a descriptor that stays open for as long as there are signals.
    unsafe {
        libc::write(WRITE_END.load(Ordering::SeqCst), c"!".as_ptr().cast(), 1)
    };
    Errno::set_raw(errno);
}

fn bit(number: c_int) -> u64 {
    1 << number
}
// ANCHOR_END: handler
