//! The program of the exercise, solved.

#[path = "../../../exercises/ex16-rolling-reload/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
