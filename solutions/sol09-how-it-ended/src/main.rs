//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex09-how-it-ended/src/given.rs"]
mod given;

fn main() {
    given::run();
}
