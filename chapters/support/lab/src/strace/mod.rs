//! What strace prints, as values. The options are in [`trace`](crate::trace).
//!
//! A line is a call, a part of one, a signal, or an end ([`mod@line`]). The arguments of a
//! call are values ([`mod@value`]). Nothing here knows what a call means.

pub mod line;
pub mod value;

pub use line::{Line, Returned, What};
pub use value::{Value, fd, number, values};
