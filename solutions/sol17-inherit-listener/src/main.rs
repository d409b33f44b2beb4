//! The program of the exercise, solved.

#[path = "../../../exercises/ex17-inherit-listener/src/harness.rs"]
mod harness;
mod solution;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
