//! Runs a program under strace, and shows what its processes do.

pub mod ask;
pub mod event;
pub mod guard;
pub mod listener;
pub mod messages;
pub mod model;
pub mod pidfd;
pub mod random;
pub mod recording;
pub mod serve;
pub mod session;
pub mod strace;
pub mod tables;
pub mod trace;
pub mod warden;
