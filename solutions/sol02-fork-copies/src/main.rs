//! The program of the exercise, solved.

#[path = "../../../exercises/ex02-fork-copies/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
