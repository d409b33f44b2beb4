//! The tool for students and teachers: what to do next, a check at each save, handouts and
//! grades.
//!
//! The modules, from the bottom up: `files`; `course` (the exercises); `check` (runs the
//! tests of one); `progress` (which are solved); `list`, `next`, `watch` and `lab`, for students;
//! `handout`, and `grade` with `desk` (builds and runs submissions) and `report`, for
//! teachers; `mutants`, for the authors; `interrupt`, what Ctrl-C does in these two.

mod check;
mod course;
mod desk;
mod files;
mod grade;
mod handout;
mod interrupt;
mod lab;
mod list;
mod mutants;
mod next;
mod progress;
mod report;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use cli::{Arguments, say, unexpected, wrong};
use course::{Course, Exercise};

const USAGE: &str = "\
For students and teachers. Run it in your checkout.

Usage: classroom next [EXERCISE]     the first exercise that is not solved, and why; begins with
                                     EXERCISE, or with the first
       classroom watch [EXERCISE]    checks the current exercise whenever you save its file
       classroom lab EXERCISE [ARG...]
                                     shows in a browser what its processes do: runs its program in
                                     the lab, with these arguments or as its README says
       classroom list                all exercises, and which are solved
       classroom handout FOLDER      a copy of the course for a class, without solutions
       classroom grade [--out FOLDER] [--only EXERCISE]... SUBMISSION...
                                     checks submissions with the tests of your own checkout, and
                                     writes FOLDER/NAME/junit.xml and summary.json for each;
                                     a SUBMISSION is a checkout, or its folder 'exercises'

  --out FOLDER      where the results go (default: grades)
  --only EXERCISE   checks this exercise and no other; can be repeated
  --help            shows this

EXERCISE is ex03-framing, ex03 or 3.
";

/// Shown in the project itself, and not in a handout.
const USAGE_FOR_AUTHORS: &str = "
For the authors:
       classroom mutants [EXERCISE...]   checks that the tests reject each mutant of a solution
";

fn main() -> ExitCode {
    let is_project = Course::here().is_ok_and(|it| it.has_solved_packages());
    let usage =
        format!("{USAGE}{}", if is_project { USAGE_FOR_AUTHORS } else { "" });
    cli::run(&usage, |mut arguments| {
        let command =
            arguments.word()?.ok_or_else(|| wrong("a command is missing"))?;
        let course = Course::here()?;
        let result = match &*command {
            "next" => next::run(&course, at_most_one(&course, arguments)?),
            "watch" => watch::run(&course, at_most_one(&course, arguments)?),
            "lab" => {
                let word = arguments.word()?;
                let word = word.ok_or_else(|| wrong("lab needs an exercise"))?;
                let exercise = course.exercise(&word)?;
                let rest = arguments.remaining();
                let rest: Vec<String> =
                    rest.iter().map(|it| it.to_string_lossy().into()).collect();
                match lab::run(&course, &exercise, &rest)? {}
            }
            "list" => {
                at_most(0, words(arguments)?)?;
                list::run(&course)
            }
            "handout" => match at_most(1, words(arguments)?)?.first() {
                Some(folder) => handout::make(&course, Path::new(folder)),
                None => Err(wrong("handout needs a folder")),
            },
            "grade" => grade(&course, arguments),
            "mutants" => match exercises(&course, words(arguments)?)? {
                named if named.is_empty() => {
                    mutants::run(&course, &course.exercises()?)
                }
                named => mutants::run(&course, &named),
            },
            other => Err(unexpected(other)),
        };
        interrupt::exit_if_interrupted();
        result
    })
}

fn grade(course: &Course, mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut out = PathBuf::from("grades");
    let (mut submissions, mut only) = (Vec::new(), Vec::new());
    while let Some(word) = arguments.word()? {
        match &*word {
            "--out" => out = PathBuf::from(arguments.value()?),
            "--only" => only.push(course.exercise(&arguments.value()?)?),
            flag if flag.starts_with('-') => return Err(unexpected(flag)),
            submission => submissions.push(PathBuf::from(submission)),
        }
    }
    if submissions.is_empty() {
        return Err(wrong("grade needs a submission"));
    }
    if only.is_empty() {
        only = course.exercises()?;
    }
    grade::run(course, &submissions, &only, &out)?;
    say(format_args!("the results are in {}", out.display()));
    Ok(ExitCode::SUCCESS)
}

/// The rest of the command line, which has no flags.
fn words(mut arguments: Arguments) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    while let Some(word) = arguments.word()? {
        if word.starts_with('-') {
            return Err(unexpected(&word));
        }
        words.push(word);
    }
    Ok(words)
}

fn at_most(count: usize, words: Vec<String>) -> anyhow::Result<Vec<String>> {
    match words.get(count) {
        Some(word) => Err(unexpected(word)),
        None => Ok(words),
    }
}

fn exercises(course: &Course, words: Vec<String>) -> anyhow::Result<Vec<Exercise>> {
    words.iter().map(|word| course.exercise(word)).collect()
}

fn at_most_one(
    course: &Course,
    arguments: Arguments,
) -> anyhow::Result<Option<Exercise>> {
    Ok(exercises(course, at_most(1, words(arguments)?)?)?.pop())
}
