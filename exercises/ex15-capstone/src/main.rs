//! The program of the exercise. Your part is `solution.rs`.

mod harness;
#[path = "../../ex13-drain/src/http.rs"]
mod http;
mod solution;
#[path = "../../ex13-drain/src/worker_io.rs"]
mod worker_io;

use std::process::ExitCode;

fn main() -> ExitCode {
    harness::run()
}
