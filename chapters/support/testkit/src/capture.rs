//! What a program prints, kept while it runs.

use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::lock;

/// One captured stream.
pub(crate) struct Capture {
    state: Mutex<State>,
}

struct State {
    bytes: Vec<u8>,
    open: bool,
    flooded: bool,
}

impl Capture {
    /// Reads `pipe` on a thread of its own, so that the program never blocks on a full pipe. Keeps
    /// `most` bytes, and forgets what comes after them.
    ///
    /// The thread is never joined: it ends with the pipe, and that is open for as long as any
    /// process holds its other end. The family's death ends it.
    pub fn of(mut pipe: impl Read + Send + 'static, most: usize) -> Arc<Capture> {
        let state = State { bytes: Vec::new(), open: true, flooded: false };
        let capture = Arc::new(Capture { state: Mutex::new(state) });
        let ours = Arc::clone(&capture);
        thread::spawn(move || {
            let mut buffer = [0; 8192];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(n) if n > 0 => {
                        let mut state = lock(&ours.state);
                        let room = most - state.bytes.len();
                        state.bytes.extend_from_slice(&buffer[..n.min(room)]);
                        state.flooded |= n > room;
                    }
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    _ => break,
                }
            }
            lock(&ours.state).open = false;
        });
        capture
    }

    /// All that was printed so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&lock(&self.state).bytes).into_owned()
    }

    /// Whether more was printed than is kept.
    pub fn has_flooded(&self) -> bool {
        lock(&self.state).flooded
    }

    /// Whether more may come.
    pub fn is_open(&self) -> bool {
        lock(&self.state).open
    }

    /// The whole lines that contain `needle`. What stands behind the last newline is a line
    /// only once the stream has ended: half a port number is no port number.
    pub fn lines_with(&self, needle: &str) -> Vec<String> {
        let state = lock(&self.state);
        let whole = match state.bytes.iter().rposition(|b| *b == b'\n') {
            _ if !state.open => state.bytes.len(),
            Some(last) => last,
            None => 0,
        };
        let text = String::from_utf8_lossy(&state.bytes[..whole]);
        text.lines()
            .filter(|line| line.contains(needle))
            .map(str::to_owned)
            .collect()
    }
}
