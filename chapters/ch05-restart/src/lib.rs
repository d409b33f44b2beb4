//! # Chapter 5: keep N workers alive, lose nothing
//!
//! - [`Supervisor`]: what to do when a worker starts, gets ready, says that it will end, or is gone.
//!   Decisions and nothing else: events in, actions out, time passed in. It starts no process, so
//!   every policy can be tested without one.
//! - [`Worker`]: accepts, answers, and can be *drained*: it stops accepting, answers all that it has
//!   been given, and only then ends.
//!
//! The parent drives the first with chapter 4's events. It never touches HTTP and never accepts.
//!
//! Read `supervisor.rs` first; `master.rs` does what it says. Then `worker.rs` with `worker/drain.rs`,
//! and `connection.rs` for what happens on one connection.

mod answer;
mod connection;
mod request;
mod supervisor;
mod worker;

pub use answer::print;
pub use request::{BadRequest, Body, Request};
pub use supervisor::{Action, Input, Supervisor};
pub use worker::{Handler, Worker};
