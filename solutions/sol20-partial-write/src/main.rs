//! The program of the exercise, solved.

#[path = "../../../exercises/ex20-partial-write/src/harness.rs"]
mod harness;
mod solution;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
