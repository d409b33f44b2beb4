//! Many requests at once, each one accounted for.
//!
//! The clients share the machine with the server that they load, so they cost
//! little: a request takes one write and as few reads as possible, into buffers
//! that are used again.

mod client;
mod report;
mod run;

pub use client::Kind;
pub use report::Report;
pub use run::{Background, Load};
