//! Where a connection stands, and what it needs next.

use crate::Request;

// ANCHOR: state
/// Where it stands.
#[derive(Debug)]
pub(super) enum State {
    /// Waiting for a head.
    Head,
    /// The head is here; so many bytes of its body are not.
    Body(Request, u64),
    /// The answer is on its way. Then the connection goes on, or lingers.
    Answer { close: bool },
    /// An error is on its way, to somebody who has sent no request.
    Refusal,
    /// We have ended our side, and read until the client has ended its own.
    ///
    /// close(2) with unread bytes resets the connection, and the reset may destroy an answer that
    /// is still on its way (RFC 9112, 9.6).
    Linger,
}
// ANCHOR_END: state

/// What a connection needs next.
#[derive(Debug)]
pub(crate) enum Step {
    /// An answer: give it to [`Connection::answer`](super::Connection::answer).
    Answer(Request),
    /// Nothing: the kernel has just taken the last byte of an answer.
    Answered,
    /// To be asked again when poll(2) says so.
    Wait,
    /// To be dropped.
    Closed,
}
