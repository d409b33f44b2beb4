//! Starts the chapters' programs and judges them from outside.
//!
//! The kit knows nothing of the chapters. It sees what any user sees: a process,
//! what it prints, its responses, and what is left of it when it has exited. It has
//! three rules:
//!
//! - **Nothing outlives a test.** [`Running`] kills its program and all descendants
//!   when it is dropped, even if the test panics.
//! - **No sleep decides.** Every wait is "until this holds, or until the deadline":
//!   [`eventually()`].
//! - **A failure tells its story**: what was expected, what was seen, what the
//!   program printed.
//!
//! It finds processes in `/proc`, so it is for Linux. It needs no privilege.
//!
//! ```no_run
//! use testkit::{Program, Signal, assert_all_gone, http};
//! use std::time::Duration;
//!
//! let server = Program::new("some-server").args(["--port", "0"]).start();
//! let response = http::get(server.addr()).expect("a response");
//! assert_eq!(response.status, 200);
//!
//! let processes = server.processes();
//! server.signal(Signal::SIGTERM);
//! assert!(server.wait(Duration::from_secs(2)).success());
//! assert_all_gone(&processes, Some(server.port()), Duration::from_secs(2));
//! ```
//!
//! The modules, each of which uses only those named before it:
//!
//! - `lock`, `time_limit`, `processes`, `temp_dir`, `responses`: the ground;
//! - `capture`, `spawn`, `port`, `node`, `eventually`: output, fork and exec,
//!   waiting;
//! - `process_tree`, `failure`, `sandbox`: all processes of a program, and their
//!   limits;
//! - `running`, `program`, `exercise`: a program that runs, one that does not yet,
//!   and a student's;
//! - `response_reader`, `http`, `load`: clients.

mod capture;
mod eventually;
mod exercise;
mod failure;
pub mod http;
pub mod load;
mod lock;
mod node;
mod port;
mod process_tree;
mod processes;
mod program;
mod response_reader;
mod responses;
mod running;
pub mod sandbox;
mod spawn;
mod temp_dir;
mod time_limit;

pub use eventually::{assert_all_gone, eventually, try_eventually};
#[doc(hidden)]
pub use exercise::exercise_program;
pub use failure::LAB_NOTE;
pub use nix::sys::signal::Signal;
pub use node::{NodeScript, node, node_program};
pub use port::free_port;
pub use processes::{
    Process, alive, children_of, cpu_time, descendants_of, fds, fds_in_words,
    threads, zombies_of,
};
pub use program::Program;
pub use responses::pid_in;
pub use running::{Output, Running};
pub use temp_dir::{TempDir, temp_dir};
