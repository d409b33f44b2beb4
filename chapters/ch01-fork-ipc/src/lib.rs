//! # Chapter 1: fork(2), exec, socketpair
//!
//! Two things, and every later chapter stands on them:
//!
//! - [`Channel`]: messages over any stream of bytes, one JSON value a line;
//! - [`Child`]: a process and nothing else. Making one returns it *and* a stream to it, so that
//!   later chapters put the transport they need on that stream.
//!
//! This is what Node's `child_process.fork()` does, in its own wire format: a connected pair of
//! Unix stream sockets, the child's end numbered in `NODE_CHANNEL_FD`.

mod channel;
mod child;
mod message;
mod parent;

pub use channel::Channel;
pub use child::{Child, Ended};
pub use message::{Line, MAX_MESSAGE, RecvError, SendError, is_internal};
pub use parent::{NoChannel, leave_signals_to_parent, parent, sigterm_ends};
