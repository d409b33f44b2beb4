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
/// Ends all `children`, and tells how each has ended, in their order. Blocks until they have.
///
/// All are asked with SIGTERM; one that was stopped is let go on, so that it hears. Whoever has not
/// ended when `grace` is over is ended with SIGKILL. Together they have one grace, not one each, and it
/// is cut short when the last has ended. Until then this sleeps: it does not look again and again.
///
/// A child that has ended before keeps the code that it ended with. No signal is sent to one that has
/// been waited for: its number may be a stranger's by then. Nothing is open afterwards that was not
/// open before.
pub fn stop(mut children: Vec<Child>, grace: Duration) -> Vec<ExitStatus> {
    let deadline = Instant::now() + grace;
    for child in &children {
        send(child, Signal::SIGTERM);
        // In this order: when it goes on, SIGTERM is there already.
        send(child, Signal::SIGCONT);
    }
    sleep_until_all_have_ended(&children, deadline);
    // None has been waited for, so each number is still its own. A zombie takes no harm.
    for child in &children {
        send(child, Signal::SIGKILL);
    }
    children.iter_mut().map(|child| child.wait().expect("our own child")).collect()
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal)
        .expect("our own child, and not waited for");
}
// ANCHOR_END: stop

// ANCHOR: sleep
/// Returns when all have ended, or at the deadline. Waits for them, but not in the sense of wait(2): a
/// child that has ended stays a zombie.
fn sleep_until_all_have_ended(children: &[Child], deadline: Instant) {
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

/// A descriptor of a process, which can be read once it has ended: pidfd_open(2), Linux 5.3.
fn pidfd(child: &Child) -> OwnedFd {
    // SAFETY: numbers go in, a number comes out.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.id(), 0) };
    let fd = Errno::result(fd).expect("our own child, and a descriptor is free");
    // SAFETY: it is new, and nobody else's.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}
// ANCHOR_END: sleep
