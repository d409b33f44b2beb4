//! A sandbox: where a program may run that nobody has reviewed.
//!
//! A student's program forks in a loop, forgets to wait, prints without end, or
//! detaches itself from its parent. In a sandbox it can do all of that without
//! harm:
//!
//! - The kernel limits its processes, memory, file sizes and CPU time
//!   (getrlimit(2)).
//! - A *watchdog*, a thread of the test process, limits what the kernel does not:
//!   the time of all tests of this process together, the output, and the number of
//!   processes in this tree.
//! - This process is a *subreaper* (prctl(2)): orphans become our children, even if
//!   they have left the process group, and the watchdog kills them.
//! - It cannot signal all processes of the user, nor this process (seccomp(2)).
//!
//! As root, the program runs as an unprivileged user, because root is exempt from
//! the limit on processes. If that user has no access to the program, it runs as
//! root, and the watchdog alone limits the number of its processes: see
//! [`ProcessLimit`].

mod filter;
mod limits;
mod watchdog;

pub(crate) use limits::confine;
pub use limits::{MAX_OUTPUT, MAX_PROCESSES, ProcessLimit};
pub(crate) use watchdog::{kill_orphans, watch};
