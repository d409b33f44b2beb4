//! The program of the exercise, solved.

#[path = "../../../exercises/ex04-exec-channel/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
