//! # Chapter 2: a descriptor travels beside the bytes
//!
//! A descriptor is a number in one process's table; sent as a number it means nothing to another.
//! But the kernel passes the thing behind it over a Unix socket, as `SCM_RIGHTS` (unix(7)). So one
//! process can accept a connection and another can answer it. Node calls a descriptor that is sent
//! like this a *handle*.
//!
//! - [`FdStream`]: a Unix stream that carries descriptors beside its bytes. Chapter 1's `Channel`
//!   goes on top unchanged: the framing never hears of them.
//! - [`FdChannel`]: Node's `NODE_HANDLE` envelope, its ACK and NACK, and who owns a descriptor while
//!   it is under way.
//! - [`RoundRobin`]: whose turn it is.
//! - [`wait_for`] and [`poll_until`]: to wait for many descriptors at once, in poll(2).
//! - [`Leaving`]: children that are about to end.
//!
//! Read `wait.rs` first, then `fd_stream.rs` and `fd_channel.rs`; then `main.rs`, which puts them to
//! use.

mod fd_channel;
mod fd_stream;
mod leaving;
mod round_robin;
mod wait;

pub use fd_channel::{FdChannel, Incoming, NotPassed, OpenSocket, Passed};
pub use fd_stream::FdStream;
pub use leaving::Leaving;
pub use round_robin::RoundRobin;
pub use wait::{poll_until, wait_for};
