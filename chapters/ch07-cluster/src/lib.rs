//! # Chapter 7: one call, and fast

mod body;
mod connection;
mod event_loop;
mod head;
mod print;
mod serve;
mod socket_list;

pub use event_loop::EventLoop;
pub use serve::{MAX_CONNECTIONS, WINDOW, raise_descriptor_limit, serve};
