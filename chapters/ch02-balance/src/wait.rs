//! Waiting, in poll(2).
//!
//! poll(2) takes a list of descriptors, each with the events that are of interest: `POLLIN`, there is
//! something to read; `POLLOUT`, there is room to write. It returns when one of them has come, when
//! the time is up, or when a signal interrupts it (`EINTR`).

use std::{
    io,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

// ANCHOR: poll_until
/// The time until `when`, as poll(2) takes it: in milliseconds, rounded up, so that nobody wakes a
/// moment too early and finds nothing to do. `None` is for ever.
pub fn poll_until(when: Option<Instant>) -> PollTimeout {
    let Some(when) = when else { return PollTimeout::NONE };
    let left = when.saturating_duration_since(Instant::now());
    let rounded_up = (left + Duration::from_nanos(999_999)).as_millis();
    PollTimeout::try_from(rounded_up).unwrap_or(PollTimeout::MAX)
}
// ANCHOR_END: poll_until

// ANCHOR: wait_for
/// Blocks until one of `events` has come for `fd`. `false` if `until` comes first.
///
/// # Errors
/// Those of poll(2). A signal is no error: the result is then `true`, because its handler may have
/// left something to do.
pub fn wait_for(
    fd: &impl AsFd,
    events: PollFlags,
    until: Option<Instant>,
) -> io::Result<bool> {
    match poll(&mut [PollFd::new(fd.as_fd(), events)], poll_until(until)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
// ANCHOR_END: wait_for
