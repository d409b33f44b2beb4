//! The program of the exercise, solved.

#[path = "../../../exercises/ex11-escalation/src/harness.rs"]
mod harness;
mod solution;

fn main() {
    harness::run();
}
