//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex02-fork-copies/src/given.rs"]
mod given;

fn main() {
    given::run();
}
