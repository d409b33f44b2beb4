//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex05-send-fd/src/given.rs"]
mod given;

use std::process::ExitCode;

fn main() -> ExitCode {
    given::run()
}
