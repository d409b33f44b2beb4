//! The program of the exercise. Your part is `solution.rs`.

mod harness;
mod solution;

fn main() {
    harness::run();
}
