//! Solution.

use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

// ANCHOR: stop
/// Stops all `children`. Blocks until they have exited, and returns the exit status
/// of each, in their order.
///
/// Each is sent SIGTERM. One that was stopped is continued (SIGCONT), because a
/// stopped process does nothing. Those that have not exited after `grace` are sent
/// SIGKILL. The grace is one for all children together. If the last one exits
/// sooner, this returns at once. Meanwhile it sleeps: it does not ask again and
/// again.
///
/// A child that had exited before keeps its exit status. No signal is sent to a
/// child that was reaped: its process id may belong to another process then. When
/// this returns, nothing is open that was not open before, and no thread is left.
pub fn stop(mut children: Vec<Child>, grace: Duration) -> Vec<ExitStatus> {
    let deadline = Instant::now() + grace;
    for child in &children {
        send(child, Signal::SIGTERM);
        // In this order: when the child continues, SIGTERM is there already.
        send(child, Signal::SIGCONT);
    }
    sleep_until_all_have_exited(&children, deadline);
    // None was reaped, so each process id is still the child's. A signal to a
    // zombie does nothing.
    for child in &children {
        send(child, Signal::SIGKILL);
    }
    children.iter_mut().map(|child| child.wait().expect("our own child")).collect()
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal)
        .expect("our own child, and not reaped");
}
// ANCHOR_END: stop

// ANCHOR: sleep
/// Returns when all have exited, or at the deadline. Reaps none: a child that has
/// exited stays a zombie.
fn sleep_until_all_have_exited(children: &[Child], deadline: Instant) {
    let mut running: Vec<OwnedFd> = children.iter().map(pidfd).collect();
    while !running.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut polled: Vec<PollFd> = running
            .iter()
            .map(|fd| PollFd::new(fd.as_fd(), PollFlags::POLLIN))
            .collect();
        match ppoll(&mut polled, Some(left.into()), None) {
            Ok(0) => return,
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(error) => panic!("cannot poll: {error}"),
        }
        let runs: Vec<bool> =
            polled.iter().map(|it| it.any() != Some(true)).collect();
        let mut runs = runs.into_iter();
        running.retain(|_| runs.next() == Some(true));
    }
}

/// A descriptor of a process, which is readable once the process has exited:
/// pidfd_open(2), Linux 5.3.
fn pidfd(child: &Child) -> OwnedFd {
    // SAFETY: pidfd_open(2) takes numbers and returns a number.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let fd = Errno::result(fd).expect("our own child, and a free descriptor");
    // SAFETY: the descriptor is new, so nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}
// ANCHOR_END: sleep
