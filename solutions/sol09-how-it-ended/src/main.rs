//! The program of the exercise, solved.

#[path = "../../../exercises/ex09-how-it-ended/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
