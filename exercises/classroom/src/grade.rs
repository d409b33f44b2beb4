//! Grades submissions: each gets nextest's report and a summary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};
use cli::say;

use crate::course::{Course, Exercise};
use crate::desk::Desk;
use crate::files::{make_folder, run as run_program, write};
use crate::report::{grades, solved, summary};

/// Grades these exercises of each submission, and writes the results to `out`.
pub fn run(
    course: &Course,
    submissions: &[PathBuf],
    exercises: &[Exercise],
    out: &Path,
) -> anyhow::Result<()> {
    // A wrong path, and a folder that cannot be written to, is found before the work begins.
    let folders = submissions.iter().map(|it| exercises_of(it, exercises));
    let folders = folders.collect::<anyhow::Result<Vec<_>>>()?;
    let names = distinct_names(&folders);
    for name in &names {
        make_folder(&out.join(name))?;
    }
    if run_program(Command::new("cargo").args(["nextest", "--version"])).is_err() {
        bail!(
            "cargo-nextest runs the tests of submissions, and is not installed: \
             cargo install cargo-nextest --locked"
        );
    }
    say("building the tests");
    let desk = Desk::set_up(course, exercises)?;
    let all = names.len();
    let mut submissions = Vec::new();
    for ((number, name), folder) in (1..).zip(names).zip(folders) {
        say(format_args!("{number} of {all}: building {name}"));
        submissions.push((number, name, desk.build(&folder)?));
    }
    let began = Instant::now();
    for (number, name, built) in submissions {
        let junit = desk.check(&built)?;
        let grades = grades(course, &junit, exercises, &built.failed)?;
        let folder = out.join(&name);
        write(&folder.join("junit.xml"), junit)?;
        let json = serde_json::to_string_pretty(&summary(&name, &grades))?;
        write(&folder.join("summary.json"), json + "\n")?;
        let (solved, count) = (solved(&grades), grades.len());
        let left = began.elapsed() / number * (all as u32 - number);
        let left = match left.as_secs() {
            _ if all as u32 == number => String::new(),
            seconds @ ..120 => format!(", {seconds} s left"),
            seconds => format!(", {} min left", seconds / 60),
        };
        say(format_args!(
            "{number} of {all}: {name} solves {solved} of {count} exercises{left}"
        ));
    }
    Ok(())
}

/// The folder `exercises` of a submission: of a checkout, or that folder alone, whatever
/// its name is.
fn exercises_of(
    submission: &Path,
    exercises: &[Exercise],
) -> anyhow::Result<PathBuf> {
    let path = fs::canonicalize(submission)
        .with_context(|| format!("cannot find {}", submission.display()))?;
    let within = path.join("exercises");
    let has_one =
        |folder: &Path| exercises.iter().any(|it| folder.join(&it.name).is_dir());
    if within.is_dir() {
        // A symbolic link could lead to the folder of another student.
        if fs::canonicalize(&within)? == within {
            return Ok(within);
        }
        bail!("{} is a symbolic link", within.display());
    } else if has_one(&path) {
        return Ok(path);
    }
    bail!(
        "{} has no folder 'exercises', and none of an exercise",
        submission.display()
    )
}

/// A name for each submission: that of its folder. If another has the same, then names of
/// the folders above are put in front, as many as it takes: `x-course` and `y-course`.
fn distinct_names(folders: &[PathBuf]) -> Vec<String> {
    let checkouts: Vec<&Path> =
        folders
            .iter()
            .map(|it| {
                if it.ends_with("exercises") {
                    it.parent().unwrap_or(it)
                } else {
                    it
                }
            })
            .collect();
    let name = |checkout: &Path| {
        let depth = checkout.iter().count();
        let mut names =
            (1..=depth).map(|parts| (parts, last_parts(checkout, parts)));
        let is_distinct = |(parts, name): &(usize, String)| {
            checkouts.iter().filter(|it| last_parts(it, *parts) == *name).count()
                == 1
        };
        names
            .clone()
            .find(is_distinct)
            .or(names.next_back())
            .map_or(String::new(), |it| it.1)
    };
    let mut names: Vec<String> = checkouts.iter().map(|it| name(it)).collect();
    // The same folder twice, or a folder whose own name is `x-course`.
    for place in 1..names.len() {
        while names[..place].contains(&names[place]) {
            names[place].push_str("-again");
        }
    }
    names
}

/// The last parts of a path, joined: `x-course`.
fn last_parts(path: &Path, count: usize) -> String {
    let mut parts: Vec<_> = path.components().rev().take(count).collect();
    parts.reverse();
    let parts =
        parts.iter().map(|it| it.as_os_str().to_string_lossy().replace('/', ""));
    parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}
