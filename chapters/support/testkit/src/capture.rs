//! What a program prints, kept while it runs.

use std::io::{ErrorKind, Read};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::lock::lock;

/// One output stream of a program.
pub(crate) struct Capture(Mutex<State>);

struct State {
    bytes: Vec<u8>,
    is_open: bool,
    is_over_limit: bool,
}

impl Capture {
    /// Reads `pipe` in a thread of its own, so that the program never blocks on a
    /// full pipe. Keeps the first `limit` bytes.
    ///
    /// The thread is never joined: it exits at EOF, once the program and all its
    /// descendants that inherited the pipe are gone.
    pub fn start(
        mut pipe: impl Read + Send + 'static,
        limit: usize,
    ) -> Arc<Capture> {
        let state =
            State { bytes: Vec::new(), is_open: true, is_over_limit: false };
        let capture = Arc::new(Capture(Mutex::new(state)));
        let ours = Arc::clone(&capture);
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(count) if count > 0 => {
                        let mut state = lock(&ours.0);
                        let room = limit - state.bytes.len();
                        state.bytes.extend_from_slice(&buffer[..count.min(room)]);
                        state.is_over_limit |= count > room;
                    }
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
            lock(&ours.0).is_open = false;
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
        lock(&self.0).is_open
    }

    /// The complete lines that contain `needle`. The text behind the last newline
    /// counts as a line only after EOF: half a port number is no port number.
    pub fn lines_with(&self, needle: &str) -> Vec<String> {
        let state = lock(&self.0);
        let end = match state.bytes.iter().rposition(|byte| *byte == b'\n') {
            _ if !state.is_open => state.bytes.len(),
            Some(last) => last,
            None => 0,
        };
        let text = String::from_utf8_lossy(&state.bytes[..end]);
        let lines = text.lines().filter(|line| line.contains(needle));
        lines.map(str::to_owned).collect()
    }
}
