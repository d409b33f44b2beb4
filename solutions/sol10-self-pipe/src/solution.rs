//! Solution.

use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

use nix::errno::Errno;
use nix::libc::{self, c_int};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::getpid;

// ANCHOR: statics
/// A handler gets a number and nothing else, so what it needs is here. The process
/// whose signals are counted:
static OWNER: AtomicI32 = AtomicI32::new(0);

/// The descriptor that the handler writes to.
static WRITE_END: AtomicI32 = AtomicI32::new(-1);

/// How often each signal has arrived and was not taken. The place is the signal's
/// number.
static COUNTS: [AtomicU32; 65] = [const { AtomicU32::new(0) }; 65];
// ANCHOR_END: statics

/// Signals, as something to read. The program has one of these, until it exits.
pub struct Signals {
    reader: UnixStream,
    _writer: UnixStream,
}

// ANCHOR: signals
impl Signals {
    /// From now on, `signals` do not do what they do by default:
    /// [`take`](Signals::take) counts them.
    ///
    /// # Errors
    /// Those of the system calls that this needs.
    pub fn listen(signals: &[Signal]) -> io::Result<Signals> {
        // A pair of sockets does what a pipe does, and std closes it on exec.
        let (reader, writer) = UnixStream::pair()?;
        // `take` must not block if it is empty, nor the handler if it is full.
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        // Before the first signal can arrive.
        OWNER.store(getpid().as_raw(), SeqCst);
        WRITE_END.store(writer.as_raw_fd(), SeqCst);
        let handler = SigHandler::Handler(on_signal);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        for &signal in signals {
            // SAFETY: `on_signal` makes only calls that are async-signal-safe.
            unsafe { sigaction(signal, &action) }?;
        }
        Ok(Signals { reader, _writer: writer })
    }

    /// The signals that have arrived since the last call, and how often each: how
    /// often its handler has run. Does not block.
    pub fn take(&mut self) -> Vec<(Signal, u32)> {
        // First the bytes, then the counts. A signal that arrives between the two
        // leaves its byte, and the loop is woken again. The other way round, it
        // would leave a count and no byte.
        while let Ok(1..) = self.reader.read(&mut [0; 512]) {}
        // `swap` reads and clears in one step, so that no signal is lost between
        // the two.
        let count =
            |signal: Signal| (signal, COUNTS[signal as usize].swap(0, SeqCst));
        Signal::iterator().map(count).filter(|(_, count)| *count > 0).collect()
    }
}
// ANCHOR_END: signals

/// What poll(2) waits for. It is readable if there is something to take.
impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

// ANCHOR: handler
extern "C" fn on_signal(number: c_int) {
    // A forked child has this handler too, and its parent's pipe.
    if OWNER.load(SeqCst) != getpid().as_raw() {
        return;
    }
    // The interrupted code may be about to read errno, and write(2) may fail.
    let errno = Errno::last_raw();
    COUNTS[number as usize].fetch_add(1, SeqCst);
    // SAFETY: write(2) reads one byte, which is there; the descriptor stays open.
    unsafe { libc::write(WRITE_END.load(SeqCst), c"!".as_ptr().cast(), 1) };
    Errno::set_raw(errno);
}
// ANCHOR_END: handler
