//! Your part.

use std::io;
use std::net::TcpListener;

/// The listener that this process has inherited by systemd's protocol
/// (sd_listen_fds(3)). `Ok(None)` if there is none for this process.
///
/// - It is for this process if `LISTEN_PID` is the own process id. Otherwise
///   descriptor 3 is left as it is.
/// - The listener is descriptor 3. From now on it is close-on-exec.
/// - In each case, the variables `LISTEN_FDS`, `LISTEN_PID` and `LISTEN_FDNAMES` are
///   removed.
///
/// # Errors
/// If `LISTEN_FDS` is not 1, or if descriptor 3 is not a TCP socket that listens.
///
/// # Safety
/// This process has one thread, and has opened no descriptor yet.
pub unsafe fn inherited() -> io::Result<Option<TcpListener>> {
    todo!("is there a listener for process {}?", std::process::id())
}

/// Executes `program`, a path, with these arguments, in the place of this program,
/// so that its [`inherited`] returns `listener`. The rest of the environment is
/// ours.
///
/// The program has the listener as descriptor 3 and under no other number. Here it
/// may be any descriptor, and descriptor 3 may be any other one.
///
/// Returns only if that fails, with the error of execve(2). Then `listener` and
/// descriptor 3 are what they were before, and are close-on-exec if they were that
/// before.
///
/// It is called in a process with one thread.
pub fn exec_with(
    listener: &TcpListener,
    program: &str,
    arguments: &[String],
) -> io::Error {
    todo!("execute {program} with {arguments:?} and {listener:?}")
}
