//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex10-self-pipe/src/given.rs"]
mod given;

fn main() {
    given::run();
}
