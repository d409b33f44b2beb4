//! # Chapter 7: one call, and fast

mod assignment;
mod body;
mod connection;
mod event_loop;
mod hand_over;
mod head;
mod introductions;
mod listeners;
mod peers;
mod primary;
mod print;
mod serve;
mod sharing;
mod slots;
mod socket_list;

pub use assignment::Assignment;
pub use body::{BadBody, Body, Chunk, MAX_BODY};
pub use event_loop::EventLoop;
pub use hand_over::{Giver, Taker};
pub use head::Head;
pub use primary::{Primary, is_primary};
pub use serve::{MAX_CONNECTIONS, WINDOW, raise_descriptor_limit, serve};
pub use sharing::{Sharing, another_listener};
pub use slots::{Change, Slots};
pub use socket_list::SocketList;
