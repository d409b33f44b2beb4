//! What the supervisor is told, and what it says is to be done.

use ch04_events::Id;

// ANCHOR: words
/// What has happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    /// [`Action::Start`] was carried out: this is the worker.
    Started(Id),
    /// It has its listener.
    Ready(Id),
    /// It says that it will end, and wants to be replaced: `{"act":"suicide"}`.
    Suicide(Id),
    /// It has ended, or never began.
    Gone(Id),
    /// This process was asked to end.
    Terminate,
    /// Time has passed: it is [`Supervisor::deadline`](crate::Supervisor::deadline).
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start a worker and send it the listener; then tell who it is, with [`Input::Started`].
    Start,
    /// Ask it to end: SIGTERM.
    Drain(Id),
    /// End it: SIGKILL.
    Kill(Id),
    /// Close the listener. Nobody will be given it any more.
    CloseListener,
    /// Tell the user.
    Say(String),
    /// End this process: with exit code 0, or 1 if `forced`.
    Exit {
        /// A second signal has come before all workers had ended.
        forced: bool,
    },
}
// ANCHOR_END: words
