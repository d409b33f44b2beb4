//! The program of the exercise, solved.

#[path = "../../../exercises/ex07-adopt-listener/src/harness.rs"]
mod harness;
mod solution;
#[path = "../../../exercises/ex07-adopt-listener/src/worker_io.rs"]
mod worker_io;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
