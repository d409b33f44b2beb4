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
/// Starts `program`, a path, with these arguments, in a child of its own, and gives the child one end
/// of a pair of connected sockets. Returns once exec has succeeded: the child's process id, and our end.
///
/// The child finds the number of its end in the variable `NODE_CHANNEL_FD`; the rest of its environment
/// is ours. It has the three standard streams, its end of the channel, and no other descriptor, whatever
/// this process holds. This process keeps nothing but its end.
///
/// # Errors
/// Those of socketpair(2), fork(2) and execve(2): `NotFound` where there is no such program. Then no
/// child is left, not even as a zombie.
pub fn spawn(program: &str, args: &[&str]) -> io::Result<(Pid, UnixStream)> {
    let (ours, theirs) = UnixStream::pair()?;
    // For one word, if exec fails. Both ends are close-on-exec, as all that std opens.
    let (mut hear, mut tell) = UnixStream::pair()?;
    // Before the fork: after it, a child should do as little as it can.
    let argv = [&[program], args].concat().into_iter().map(CString::new);
    let argv = argv.collect::<Result<Vec<_>, _>>()?;
    let environment = environment(theirs.as_raw_fd())?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            // Both streams end when the child's end is closed, and that has to be the only one.
            drop((theirs, tell));
            let mut errno = [0; size_of::<i32>()];
            match hear.read_exact(&mut errno) {
                // Nothing was said: exec has closed the other end.
                Err(_) => Ok((child, ours)),
                Ok(()) => {
                    waitpid(child, None)?;
                    Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno)))
                }
            }
        }
        ForkResult::Child => {
            let Err(errno) = execute(&theirs, &argv, &environment);
            let _ = tell.write_all(&(errno as i32).to_ne_bytes());
            // SAFETY: _exit ends the process. To return would make it a second parent.
            unsafe { libc::_exit(127) }
        }
    }
}

/// Becomes the program. Returns only if that fails.
fn execute(
    channel: &UnixStream,
    argv: &[CString],
    environment: &[CString],
) -> Result<Infallible, Errno> {
    // First all, also what others have left open; then the mark comes off the one that is meant.
    // Needs Linux 5.11.
    // SAFETY: the flag only says what exec does; nothing is closed here.
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
/// Our environment, with the channel's number. Our own parent may have put one there too, for us:
/// that one goes, for getenv(3) takes the first it finds.
fn environment(channel: RawFd) -> Result<Vec<CString>, NulError> {
    let ours = env::vars_os().filter(|(name, _)| name != CHANNEL);
    let theirs = (OsString::from(CHANNEL), OsString::from(channel.to_string()));
    let entry = |(name, value): (OsString, OsString)| {
        CString::new([name.into_vec(), value.into_vec()].join(&b'='))
    };
    ours.chain([theirs]).map(entry).collect()
}
// ANCHOR_END: environment
