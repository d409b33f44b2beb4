//! The program of the exercise, solved.

#[path = "../../../exercises/ex03-framing/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
