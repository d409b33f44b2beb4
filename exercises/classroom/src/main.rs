//! What a class needs besides the exercises: the next step, a fresh start, a handout, and grades.

mod course;
mod grade;
mod handout;
mod judge;
mod next;
mod report;
mod wrong;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use cli::{Arguments, say, unexpected, wrong as wrong_usage};
use course::Course;

const USAGE: &str = "\
What a class needs besides the exercises. Run it at the top of the checkout.

Usage: classroom next                          the first exercise that is not solved, and why
       classroom reset EXERCISE                your answer is kept aside; the stub comes back
       classroom handout FOLDER                a copy of the course for a class, without solutions
       classroom grade [--out FOLDER] [--only EXERCISE]... CHECKOUT...
                                               judges each checkout with the tests of this one;
                                               writes FOLDER/NAME/junit.xml and summary.json
       classroom wrong [EXERCISE...]           checks that each wrong answer is found out (for the
                                               authors; needs the solutions)

  --out FOLDER      where the results go; grades/ where not given
  --only EXERCISE   judge this exercise, and no other; may be given more than once
  --help            show this

An exercise is called ex03-framing, or ex03, or 3.
";

fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let command =
            arguments.word()?.ok_or_else(|| wrong_usage("what is to be done?"))?;
        let course = Course::here()?;
        match &*command {
            "next" => {
                nothing_more(arguments)?;
                next::run(&course)
            }
            "reset" => {
                handout::reset(&course, &one(&mut arguments, "an exercise")?)
            }
            "handout" => {
                handout::make(&course, Path::new(&one(&mut arguments, "a folder")?))
            }
            "grade" => grade(&course, arguments),
            "wrong" => wrong::run(&course, &all(arguments)?),
            other => Err(unexpected(other)),
        }
    })
}

fn grade(course: &Course, mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut out = PathBuf::from("grades");
    let (mut checkouts, mut only) = (Vec::new(), Vec::new());
    while let Some(word) = arguments.word()? {
        match &*word {
            "--out" => out = PathBuf::from(arguments.value()?),
            "--only" => only.push(course.exercise(&arguments.value()?)?),
            flag if flag.starts_with('-') => return Err(unexpected(flag)),
            checkout => checkouts.push(PathBuf::from(checkout)),
        }
    }
    if checkouts.is_empty() {
        return Err(wrong_usage("grade needs a checkout"));
    }
    if only.is_empty() {
        only = course.exercises()?;
    }
    grade::run(course, &checkouts, &only, &out)?;
    say(format_args!("the results are in {}", out.display()));
    Ok(ExitCode::SUCCESS)
}

/// The only word that is left.
fn one(arguments: &mut Arguments, what: &str) -> anyhow::Result<String> {
    let word = arguments
        .word()?
        .ok_or_else(|| wrong_usage(format_args!("{what} is missing")))?;
    match arguments.word()? {
        Some(more) => Err(unexpected(&more)),
        None => Ok(word),
    }
}

fn all(mut arguments: Arguments) -> anyhow::Result<Vec<String>> {
    let mut words = Vec::new();
    while let Some(word) = arguments.word()? {
        words.push(word);
    }
    Ok(words)
}

fn nothing_more(mut arguments: Arguments) -> anyhow::Result<()> {
    match arguments.word()? {
        Some(word) => Err(unexpected(&word)),
        None => Ok(()),
    }
}

/// Reads a text file; the error names it.
fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path)
        .with_context(|| format!("cannot read {}", path.display()))
}
