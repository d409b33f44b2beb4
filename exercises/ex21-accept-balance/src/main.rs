//! The program of the exercise. Your part is `solution.rs`.

mod harness;
mod solution;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
