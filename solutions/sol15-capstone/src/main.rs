//! The program of the exercise, solved.

#[path = "../../../exercises/ex15-capstone/src/harness.rs"]
mod harness;
#[path = "../../../exercises/ex13-drain/src/http.rs"]
mod http;
mod solution;
#[path = "../../../exercises/ex13-drain/src/worker_io.rs"]
mod worker_io;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
