//! Solution.

use std::convert::Infallible;
use std::env;
use std::ffi::{CString, NulError, OsString};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc::{self, c_uint};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, execve, fork};

const CHANNEL: &str = "NODE_CHANNEL_FD";

// ANCHOR: spawn
/// Starts `program`, a path, with these arguments, in a child of its own, and gives
/// the child one end of a pair of connected sockets. Returns once exec has
/// succeeded: the child's process id, and our end.
///
/// The child finds the number of its end in the variable `NODE_CHANNEL_FD`; the
/// rest of its environment is ours. It has the three standard streams, its end of
/// the channel, and no other descriptor, whatever this process holds. This process
/// keeps its own end only.
///
/// # Errors
/// Those of socketpair(2), fork(2) and execve(2): `NotFound` if there is no such
/// program. Then no child is left, not even as a zombie.
pub fn spawn(program: &str, args: &[&str]) -> io::Result<(Pid, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    // For one number, if exec fails. Both ends are close-on-exec, like all that std
    // opens.
    let (mut failure, mut report) = UnixStream::pair()?;
    // Before the fork, because the child should do as little as possible.
    let argv = [&[program], args].concat().into_iter().map(CString::new);
    let argv = argv.collect::<Result<Vec<_>, _>>()?;
    let environment = environment(theirs.as_raw_fd())?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            // A stream ends when the last copy of its other end is closed. That
            // must be the child's.
            drop((theirs, report));
            let mut errno = [0; size_of::<i32>()];
            match failure.read_exact(&mut errno) {
                // No number: exec has closed the other end.
                Err(_) => Ok((child, ours)),
                Ok(()) => {
                    waitpid(child, None)?;
                    Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
                }
            }
        }
        ForkResult::Child => {
            let Err(errno) = execute(&theirs, &argv, &environment);
            let _ = report.write_all(&(errno as i32).to_ne_bytes());
            // SAFETY: _exit ends the process at once.
            unsafe { libc::_exit(127) }
        }
    }
}

/// Executes the program. Returns only if that fails.
fn execute(
    channel: &UnixStream,
    argv: &[CString],
    environment: &[CString],
) -> Result<Infallible, Errno> {
    // First mark all descriptors, even those that a library has left open. Then
    // clear the mark of the channel. Needs Linux 5.11. SAFETY: the flag sets what
    // exec will do; nothing is closed here.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        )
    })?;
    fcntl(channel, FcntlArg::F_SETFD(FdFlag::empty()))?;
    execve(&argv[0], argv, environment)
}
// ANCHOR_END: spawn

// ANCHOR: environment
/// Our environment, with the number of the channel. Our own parent may have given
/// us such a variable: it is left out, because getenv(3) takes the first that it
/// finds.
fn environment(channel: RawFd) -> Result<Vec<CString>, NulError> {
    let ours = env::vars_os().filter(|(name, _)| name != CHANNEL);
    let theirs = (OsString::from(CHANNEL), OsString::from(channel.to_string()));
    let entry = |(name, value): (OsString, OsString)| {
        CString::new([name.into_vec(), value.into_vec()].join(&b'='))
    };
    ours.chain([theirs]).map(entry).collect()
}
// ANCHOR_END: environment
