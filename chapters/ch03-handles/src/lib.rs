//! # Chapter 3: what is it that arrived?
//!
//! A descriptor is a number; what stands behind it may be a connection, a listener, a datagram
//! socket. The envelope says what the sender means, the kernel knows what it is, and
//! [`HandleChannel`] believes neither alone: it hands the program a [`Handle`] of the right type.
//!
//! Sending a *listener* changes the server's shape: chapter 2's parent accepted for its children; now
//! the children accept by themselves, and the parent only watches over them.
//!
//! Read `kind.rs` first, then `handle.rs` and `handle_channel.rs`; `main.rs`, `parent.rs` and
//! `worker.rs` put them to use, and `tour.rs` all of them.

mod handle;
mod handle_channel;
mod kind;

pub use handle::{Handle, WrongHandle};
pub use handle_channel::HandleChannel;
pub use kind::Kind;
