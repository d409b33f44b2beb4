//! The program of the exercise, solved.

#[path = "../../../exercises/ex21-accept-balance/src/harness.rs"]
mod harness;
mod solution;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
