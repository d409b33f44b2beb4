//! The command line that all programs of the workspace share, so that each
//! chapter's `main.rs` is about its subject.
//!
//! One grammar for all:
//!
//! ```text
//! chNN [--addr 127.0.0.1] [--port 1337] [--workers N] [--exec PROGRAM ARG...]   the parent
//! chNN worker [NAME]                                                            a child
//! ```
//!
//! A wrong command line prints the usage and exits with 2. Every other failure
//! exits with 1 and one line: `cannot do X: why`.
//!
//! The modules, from the bottom up: `reason` (an error in words), `output` (what a
//! program prints), `log_limit` (how often it may print it), `listen` (a server's
//! listener), `arguments` and `options` (the command line), `run` (the frame of a
//! program's `main`).

mod arguments;
mod listen;
mod log_limit;
mod options;
mod output;
mod reason;
mod run;

pub use arguments::{Arguments, Help, unexpected, wrong};
pub use listen::ACCEPT_PAUSE;
pub use log_limit::LogLimit;
pub use options::Options;
pub use output::{complain, log, pass_on, say, say_if_room, write_all};
pub use reason::{reason, why};
pub use run::run;
