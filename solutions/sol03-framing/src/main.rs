//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex03-framing/src/given.rs"]
mod given;

fn main() {
    given::run();
}
