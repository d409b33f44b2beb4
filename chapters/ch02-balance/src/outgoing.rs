// ANCHOR: imports
//! What a channel sends: from the queue to the acknowledgement, or back.

use std::{os::fd::OwnedFd, sync::Arc};

use serde_json::Value;

use crate::envelope::Envelope;
// ANCHOR_END: imports

// ANCHOR: outgoing
/// A line to send, and the descriptor that goes with it.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub line: Vec<u8>,
    pub fd: Option<Arc<OwnedFd>>,
    /// How often the peer has answered that the descriptor is missing.
    pub tries: u8,
}
// ANCHOR_END: outgoing

// ANCHOR: outgoing_impl
impl Outgoing {
    /// The memory that it takes.
    pub fn bytes(&self) -> usize {
        self.line.len() + size_of::<Outgoing>()
    }

    /// The message and the handle. `None` for a line without a handle. The message
    /// is null if it is nested deeper than serde_json reads.
    pub fn into_parts(self) -> Option<(Value, OwnedFd)> {
        let line = String::from_utf8(self.line).unwrap_or_default();
        let message = Envelope::parse(&line)
            .and_then(|envelope| envelope.message().ok())
            .unwrap_or_default();
        // The stream gave up its reference when it wrote the descriptor, or is
        // gone.
        Some((message, Arc::into_inner(self.fd?)?))
    }
}
// ANCHOR_END: outgoing_impl
