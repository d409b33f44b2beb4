//! What a worker does about the signals that are meant for its parent, and a parent
//! about SIGHUP.

use nix::sys::signal::{SigHandler, Signal, signal};

/// Ignores SIGINT and SIGHUP from now on.
///
/// Ctrl-C sends SIGINT to every process of the terminal's foreground group: to
/// the parent and to its workers. A terminal that closes sends SIGHUP in the
/// same way. The parent decides what happens then, and instructs its workers; a
/// worker that died of the signal itself would lose its open connections.
///
/// # Errors
/// Those of signal(2); none is expected.
pub fn ignore_terminal_signals() -> nix::Result<()> {
    for each in [Signal::SIGINT, Signal::SIGHUP] {
        // SAFETY: an ignored signal runs no code of ours.
        unsafe { signal(each, SigHandler::SigIgn) }?;
    }
    Ok(())
}

/// From now on SIGHUP is not ignored, even if nohup(1) has started this program with
/// SIGHUP ignored. For a server that uses this signal (chapter 6). A
/// [`SignalPipe`](crate::SignalPipe) that is made afterwards handles it.
///
/// # Errors
/// Those of signal(2); none is expected.
pub fn accept_hangup() -> nix::Result<()> {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: the handler does nothing.
    unsafe { signal(Signal::SIGHUP, SigHandler::Handler(nothing)) }?;
    Ok(())
}

/// From now on, the kernel does not kill this process when its parent exits, as
/// `Child::spawn` of chapter 1 asked it to. For a worker that watches its
/// channel: at its end it finishes what it has, and exits by itself. Linux
/// only; elsewhere it does nothing.
///
/// # Errors
/// Those of prctl(2); none is expected.
pub fn survive_parent() -> nix::Result<()> {
    // SIGCONT in place of SIGKILL: it resumes a worker that is stopped, which
    // then reads the end of its channel. For any other process it changes
    // nothing.
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_pdeathsig(Signal::SIGCONT)?;
    Ok(())
}
