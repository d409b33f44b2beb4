//! The next step.

use std::process::ExitCode;

use cli::say;

use crate::course::Course;
use crate::judge::build;

/// Judges the exercises in their order, up to the first that is not solved.
pub fn run(course: &Course) -> anyhow::Result<ExitCode> {
    for exercise in course.exercises()? {
        let name = &exercise.name;
        let failed = match build(&course.root, name, None) {
            Ok(built) => {
                built.judge().find(|it| !it.passed).map(|it| (it.test, it.reason))
            }
            Err(errors) => Some(("it does not compile".to_owned(), errors)),
        };
        let Some((test, reason)) = failed else {
            say(format_args!("{name}: solved"));
            continue;
        };
        say(format_args!("\nNext: {name}"));
        say(format_args!("  read     exercises/{name}/README.md"));
        say(format_args!("  change   exercises/{name}/src/solution.rs"));
        say(format_args!("  try      cargo test -p {name}\n"));
        say(format_args!("{test}:\n{reason}"));
        return Ok(ExitCode::SUCCESS);
    }
    say("\nAll exercises are solved.");
    Ok(ExitCode::SUCCESS)
}
