//! # Chapter 5: keep N workers running, lose no request
//!
//! - [`Supervisor`] decides when a worker starts, drains or is killed. It is plain
//!   data: inputs in, actions out, the time passed in.
//! - [`Worker`] accepts connections and answers one request on each. When it
//!   drains, it accepts no more, answers its open connections and exits.
//!
//! - [`Master`] connects the two with chapter 4's events. It never accepts a
//!   connection.
//!
//! Read `supervisor.rs` and `master.rs` first, then `request.rs`, `connection.rs`
//! and `worker.rs`; `main.rs` starts them.

mod connection;
mod master;
mod request;
mod supervisor;
mod worker;

pub use master::Master;
pub use request::{
    MAX_HEAD, MAX_HEADERS, Request, Response, parse_head, parse_length, values,
};
pub use supervisor::{Action, Input, State, Supervisor};
pub use worker::{Handler, Worker};
