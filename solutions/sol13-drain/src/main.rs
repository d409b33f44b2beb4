//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex13-drain/src/given.rs"]
mod given;
#[path = "../../../exercises/ex13-drain/src/kit.rs"]
mod kit;

use std::process::ExitCode;

fn main() -> ExitCode {
    given::run()
}
