//! The program of the exercise, solved.

#[path = "../../../exercises/ex10-self-pipe/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
