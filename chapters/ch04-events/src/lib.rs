//! # Chapter 4: what a parent hears
//!
//! A child sends messages, closes its channel, prints, stops printing, ends. Each of these comes to
//! its parent in another way: through a socket, a pipe, a signal and waitpid(2). [`Children`] waits for
//! all of them in one poll(2) and reports what has happened, as [`Event`]s: Node's, in Node's order.
//!
//! Signals are the odd ones: they interrupt. [`SignalPipe`] makes a descriptor of them, so that they
//! can be waited for like everything else.
//!
//! Read `signal_pipe.rs` first, then `event.rs`, `kid.rs` and `children.rs`; `main.rs` and what it
//! names put them to use.

mod children;
mod event;
mod kid;
mod signal_pipe;

pub use children::Children;
pub use event::{ChildError, Event, Id, Outcome};
pub use signal_pipe::SignalPipe;
