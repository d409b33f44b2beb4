//! The program of the exercise. Your part is `solution.rs`.

mod harness;
mod http;
mod solution;
mod worker_io;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
