//! Starts the chapters' programs, drives them and judges them from outside.
//!
//! The kit knows nothing of the chapters. It sees what any user sees: a process, what it prints,
//! what it answers, and what is left of it when it has gone. Three rules shape it:
//!
//! - **Nothing outlives a test.** [`Running`] kills its whole family when it is dropped, so also
//!   when the test panics.
//! - **No sleep decides.** Every wait is "until this holds, or until the deadline", and
//!   [`eventually`] is the only way to wait.
//! - **A failure tells its story**: what was expected, what was seen, what the program printed.
//!
//! Processes are looked up in `/proc`, so the kit is for Linux. It needs no privilege.
//!
//! ```no_run
//! use testkit::{Program, Signal, assert_all_gone, http};
//! use std::time::Duration;
//!
//! let server = Program::new("target/debug/some-server").args(["--port", "0"]).start();
//! let answer = http::get(server.addr()).expect("an answer");
//! assert_eq!(answer.status, 200);
//!
//! let family = server.processes();
//! server.signal(Signal::SIGTERM);
//! assert!(server.wait(Duration::from_secs(2)).success());
//! assert_all_gone(&family, Some(server.port()), Duration::from_secs(2));
//! ```

mod capture;
pub mod cell;
mod family;
pub mod http;
pub mod load;
mod node;
mod place;
mod printed;
mod processes;
mod program;
mod reply;
mod running;
mod spawn;
mod wait;
mod wire;

pub use nix::sys::signal::Signal;
pub use node::{NodeScript, node, node_program};
pub use place::{TempDir, free_port, temp_dir};
pub use processes::{
    Process, alive, children_of, cpu_time, descendants_of, fds, threads, zombies_of,
};
pub use program::{Output, Program};
pub use reply::pid_in;
pub use running::Running;
pub use wait::{assert_all_gone, eventually, try_eventually};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks, also after another thread has panicked: cleaning up must not fail because a test did.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
