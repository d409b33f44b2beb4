//! # Chapter 1: fork(2), exec, socketpair
//!
//! fork(2) makes a copy of the calling process. execve(2) replaces a process's program, and keeps its
//! open descriptors, except those that are marked close-on-exec. socketpair(2) makes two connected
//! sockets: what is written to one is read from the other.
//!
//! Two things are made of these, and every later chapter stands on them:
//!
//! - [`Channel`]: messages over any stream of bytes, one JSON value a line;
//! - [`Child`]: a process and nothing else. Making one returns it *and* a stream to it, so that
//!   later chapters put the transport they need on that stream.
//!
//! This is what Node's `child_process.fork()` does, in its own wire format: a connected pair of
//! Unix stream sockets; the number of the child's end is in its environment, as `NODE_CHANNEL_FD`.
//!
//! Read `channel.rs` first, then `child.rs`, `ended.rs`, `inherited.rs` and `ending.rs`; `main.rs`
//! puts them to use.

mod channel;
mod child;
mod ended;
mod ending;
mod inherited;
mod message;

pub use channel::Channel;
pub use child::Child;
pub use ended::Ended;
pub use ending::{leave_signals_to_parent, signals_end};
pub use inherited::{NoChannel, inherited_channel};
pub use message::{Line, MAX_MESSAGE, RecvError, SendError, is_internal};
