//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex04-exec-channel/src/given.rs"]
mod given;

fn main() {
    given::run();
}
