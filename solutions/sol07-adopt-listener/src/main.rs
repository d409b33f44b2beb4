//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex07-adopt-listener/src/given.rs"]
mod given;

use std::process::ExitCode;

fn main() -> ExitCode {
    given::run()
}
