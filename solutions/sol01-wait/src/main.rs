//! The program of the exercise, solved.

#[path = "../../../exercises/ex01-wait/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
