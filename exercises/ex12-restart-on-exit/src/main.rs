//! The program of the exercise. Your part is `answer.rs`.

mod answer;
mod given;

use std::process::ExitCode;

fn main() -> ExitCode {
    given::run()
}
