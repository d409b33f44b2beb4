//! # Chapter 4: what a parent hears
//!
//! A child sends messages, closes its channel, prints, stops printing, ends. Each comes to its
//! parent through another door: a socket, a pipe, a signal and waitpid(2). [`Children`] waits at all
//! of them in one poll(2) and tells what happened, as [`Event`]s: Node's, in Node's order.
//!
//! Signals are the odd door: they interrupt. [`SignalPipe`] makes a descriptor of them, so that they
//! can be waited for like everything else.

mod children;
mod event;
mod kid;
mod signal_pipe;

pub use children::Children;
pub use event::{ChildError, Event, Id, Outcome};
pub use signal_pipe::SignalPipe;
