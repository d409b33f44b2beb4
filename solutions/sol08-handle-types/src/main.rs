//! The program of the exercise, solved.

#[path = "../../../exercises/ex08-handle-types/src/harness.rs"]
mod harness;
mod solution;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
