//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex08-handle-types/src/given.rs"]
mod given;

use std::process::ExitCode;

fn main() -> ExitCode {
    given::run()
}
