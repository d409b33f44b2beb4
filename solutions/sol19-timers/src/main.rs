//! The program of the exercise, solved.

#[path = "../../../exercises/ex19-timers/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
