//! # Chapter 3: what is it that arrived?
//!
//! Chapter 2 sends connections. Here the parent sends its *listener*, once to each
//! child, and the children accept by themselves.
//!
//! A channel now carries different things, so the receiver must know which of them
//! arrived. The envelope says what the sender meant; the kernel says what the
//! descriptor is. A [`HandleChannel`] asks both, and delivers a [`Handle`] of the
//! right Rust type.
//!
//! Read `handle.rs` first, then `handle_channel.rs`. The program uses them:
//! `main.rs`, `parent.rs`, `worker.rs`; and `tour.rs` uses every type of handle.

mod handle;
mod handle_channel;

pub use handle::{Handle, Kind, WrongHandle};
pub use handle_channel::HandleChannel;
