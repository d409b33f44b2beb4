//! # Chapter 4: child events and signals
//!
//! A child sends messages, closes its channel, prints, exits. Each of these
//! reaches the parent in another way: through a socket, a pipe, or a signal and
//! waitpid(2). [`Children`] waits for all of them in one poll(2), and reports
//! them as [`Event`]s: Node's, in Node's order.
//!
//! A signal is no descriptor, so poll(2) cannot wait for it. [`SignalPipe`]
//! makes a descriptor of it.
//!
//! Read `signal_pipe.rs` first, then `event.rs`, `child_state.rs`,
//! `children.rs` and `signals.rs`. `main.rs` and the modules that it names put
//! them to use.

mod child_state;
mod children;
mod event;
mod signal_pipe;
mod signals;

pub use children::Children;
pub use event::{ChildError, Event, Id, Outcome};
pub use signal_pipe::SignalPipe;
pub use signals::{accept_hangup, ignore_terminal_signals, survive_parent};
