//! What a program prints, kept while it runs.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::thread;

use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::lock::lock;

/// One output stream of a program.
pub(crate) struct Capture(Mutex<State>);

struct State {
    bytes: Vec<u8>,
    /// The pipe. `None`: EOF was read.
    pipe: Option<OwnedFd>,
    is_over_limit: bool,
}

impl Capture {
    /// Reads `pipe` in a thread of its own, so that the program never blocks on a
    /// full pipe. Keeps the first `limit` bytes.
    ///
    /// The thread is never joined: it exits at EOF, once the program and all its
    /// descendants that inherited the pipe are gone.
    pub fn start(
        mut pipe: impl Read + AsFd + Send + 'static,
        limit: usize,
    ) -> Arc<Capture> {
        let copy = pipe.as_fd().try_clone_to_owned();
        let copy = Some(copy.expect("a free descriptor"));
        let state = State { bytes: Vec::new(), pipe: copy, is_over_limit: false };
        let capture = Arc::new(Capture(Mutex::new(state)));
        let ours = Arc::clone(&capture);
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                let fd = PollFd::new(pipe.as_fd(), PollFlags::POLLIN);
                if poll(&mut [fd], PollTimeout::NONE).is_err() {
                    continue; // a signal
                }
                // Locked while it reads: what is not in the pipe any more is in
                // `bytes`.
                let mut state = lock(&ours.0);
                match pipe.read(&mut buffer) {
                    Ok(count) if count > 0 => {
                        let room = limit - state.bytes.len();
                        state.bytes.extend_from_slice(&buffer[..count.min(room)]);
                        state.is_over_limit |= count > room;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    _ => {
                        state.pipe = None;
                        break;
                    }
                }
            }
        });
        capture
    }

    /// All that was printed so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.0).bytes).into_owned()
    }

    /// Whether more was printed than is kept.
    pub fn is_over_limit(&self) -> bool {
        lock(&self.0).is_over_limit
    }

    /// Whether more may be printed: EOF was not read yet.
    pub fn is_open(&self) -> bool {
        lock(&self.0).pipe.is_some()
    }

    /// Whether everything that was printed has been read.
    pub fn is_read(&self) -> bool {
        let state = lock(&self.0);
        let Some(pipe) = &state.pipe else { return true };
        let mut unread: libc::c_int = 0;
        // SAFETY: FIONREAD writes one number, to `unread`.
        unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut unread) };
        unread == 0
    }

    /// The complete lines that contain `needle`. The text behind the last newline
    /// counts as a line only after EOF: half a port number is no port number.
    pub fn lines_with(&self, needle: &str) -> Vec<String> {
        let state = lock(&self.0);
        let end = match state.bytes.iter().rposition(|byte| *byte == b'\n') {
            _ if state.pipe.is_none() => state.bytes.len(),
            Some(last) => last,
            None => 0,
        };
        let text = String::from_utf8_lossy(&state.bytes[..end]);
        let lines = text.lines().filter(|line| line.contains(needle));
        lines.map(str::to_owned).collect()
    }
}
