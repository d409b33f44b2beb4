//! The next exercise to solve.

use std::process::ExitCode;

use cli::say;

use crate::check::{Failure, first_failure};
use crate::course::{Course, Exercise};
use crate::progress::Progress;

/// Checks the exercises in order, beginning with `first`, and shows the first one that is
/// not solved.
pub fn run(course: &Course, first: Option<Exercise>) -> anyhow::Result<ExitCode> {
    let mut progress = Progress::of(course);
    let first = first.map(|it| it.name).unwrap_or_default();
    let exercises = course.exercises()?.into_iter();
    for exercise in exercises.filter(|exercise| exercise.name >= first) {
        let name = &exercise.name;
        if !progress.is_solved(&exercise) {
            if let Some(Failure { test, message }) =
                first_failure(&course.root, name)
            {
                say(format_args!("\nNext: {name}"));
                say(format_args!("  read     exercises/{name}/README.md"));
                say(format_args!("  change   exercises/{name}/src/solution.rs"));
                say(format_args!("  try      cargo test -p {name}"));
                say(format_args!(
                    "  see      cargo run -p classroom -- lab {}\n",
                    exercise.number()
                ));
                say(format_args!("{test}:\n{message}"));
                return Ok(ExitCode::SUCCESS);
            }
            progress.record(&exercise)?;
        }
        say(format_args!("{name}: solved"));
    }
    say("\nAll exercises are solved.");
    Ok(ExitCode::SUCCESS)
}
