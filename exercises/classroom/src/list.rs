//! All exercises, and which of them are solved.

use std::process::ExitCode;

use cli::say;

use crate::course::Course;
use crate::progress::Progress;

/// Lists all exercises.
pub fn run(course: &Course) -> anyhow::Result<ExitCode> {
    let progress = Progress::of(course);
    let exercises = course.exercises()?;
    for exercise in &exercises {
        let mark = if progress.is_solved(exercise) { "solved" } else { "-" };
        let title = course.title(exercise);
        say(format_args!("{:24} {mark:8} {title}", exercise.name));
    }
    let (solved, all) = (progress.count(&exercises), exercises.len());
    say(format_args!(
        "\n{solved} of {all} are solved: `next` or `watch` saw all tests pass"
    ));
    Ok(ExitCode::SUCCESS)
}
