//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex01-wait/src/given.rs"]
mod given;

fn main() {
    given::run();
}
