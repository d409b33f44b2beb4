//! The program of the exercise. Your part is `answer.rs`.

mod answer;
mod given;
mod http;
#[path = "../../ex13-drain/src/kit.rs"]
mod kit;

use std::process::ExitCode;

fn main() -> ExitCode {
    given::run()
}
