//! # Chapter 7: one call, and fast

mod body;
mod connection;
mod event_loop;
mod hand_over;
mod head;
mod introductions;
mod primary;
mod sharing;
mod socket_list;
mod timers;
