//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex14-restart-limit/src/given.rs"]
mod given;

fn main() {
    given::run();
}
