//! The program of the exercise, solved.

mod answer;
#[path = "../../../exercises/ex11-escalation/src/given.rs"]
mod given;

fn main() {
    given::run();
}
