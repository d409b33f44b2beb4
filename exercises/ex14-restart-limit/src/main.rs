//! The program of the exercise. Your part is `answer.rs`.

mod answer;
mod given;

fn main() {
    given::run();
}
