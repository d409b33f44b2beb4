//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex15-capstone/src/given.rs"]
mod given;
#[path = "../../../exercises/ex15-capstone/src/http.rs"]
mod http;
#[path = "../../../exercises/ex13-drain/src/kit.rs"]
mod kit;

use std::process::ExitCode;

fn main() -> ExitCode {
    given::run()
}
