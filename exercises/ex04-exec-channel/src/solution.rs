//! Your part.

use std::io;
use std::os::unix::net::UnixStream;

use nix::unistd::Pid;

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
    todo!("fork, and let the child execute {program} with {args:?}")
}
