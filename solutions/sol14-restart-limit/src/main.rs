//! The program of the exercise, solved.

#[path = "../../../exercises/ex14-restart-limit/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
