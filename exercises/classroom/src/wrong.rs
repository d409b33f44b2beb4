//! Each exercise's likeliest wrong answers, and what the tests say to them.
//!
//! A wrong answer is a patch to the solution, `solutions/solNN-name/wrong/WHAT.patch`. Above the patch
//! stands what a test has to say:
//!
//! ```text
//! says: nobody has waited for them
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use cli::say;

use crate::course::{Course, Exercise};
use crate::grade::copy;
use crate::judge::build;
use crate::read;

/// Builds each wrong answer in a copy of the course, and looks for the test that finds it out.
pub fn run(course: &Course, words: &[String]) -> anyhow::Result<ExitCode> {
    let exercises = match words {
        [] => course.exercises()?,
        _ => words
            .iter()
            .map(|word| course.exercise(word))
            .collect::<Result<_, _>>()?,
    };
    let dir = testkit::temp_dir();
    let root = dir.path().join("course");
    for part in ["Cargo.toml", "Cargo.lock", "chapters", "exercises", "solutions"] {
        copy(&course.root.join(part), &root.join(part))?;
    }
    let copied = Course { root };
    let mut wrong = Vec::new();
    for exercise in exercises {
        let patches = patches(course, &exercise)?;
        if patches.len() < 3 {
            bail!(
                "{} has {} wrong answers, and 3 are expected",
                exercise.name,
                patches.len()
            );
        }
        wrong.push((exercise, patches));
    }
    // Most of the time is waiting, so several exercises at once. Who passes in the crowd, where a loop
    // without end may get little processor time, is judged once more, alone.
    let several = std::thread::available_parallelism().map_or(1, usize::from);
    let suspects = judge_all(course, &copied, wrong, several)?;
    for (exercise, patches) in &suspects {
        say(format_args!("{}: {} once more", exercise.name, patches.len()));
    }
    let missed = judge_all(course, &copied, suspects, 1)?;
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Some wrong answers to one exercise.
type Wrong = (Exercise, Vec<PathBuf>);

/// Judges them, so many exercises at once. Those that were not found out.
fn judge_all(
    course: &Course,
    copied: &Course,
    wrong: Vec<Wrong>,
    several: usize,
) -> anyhow::Result<Vec<Wrong>> {
    let queue = Mutex::new(wrong.into_iter());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
    let work = || -> anyhow::Result<Vec<Wrong>> {
        let mut missed = Vec::new();
        while let Some((exercise, patches)) = next() {
            let mut passed = Vec::new();
            for patch in patches {
                if !is_found_out(course, copied, &exercise, &patch)? {
                    passed.push(patch);
                }
            }
            if !passed.is_empty() {
                missed.push((exercise, passed));
            }
        }
        Ok(missed)
    };
    // Each exercise is a package of its own, and cargo waits for its own lock.
    let results: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..several).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|it| it.join().expect("no panic")).collect()
    });
    Ok(results.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
}

fn is_found_out(
    course: &Course,
    copied: &Course,
    exercise: &Exercise,
    patch: &Path,
) -> anyhow::Result<bool> {
    let what = patch.file_stem().unwrap_or_default().to_string_lossy();
    let found = find_out(course, copied, exercise, patch)?;
    match &found {
        Ok(test) => say(format_args!("ok: {}: {what}: {test}", exercise.name)),
        Err(why) => say(format_args!("NOT ok: {}: {what}: {why}", exercise.name)),
    }
    Ok(found.is_ok())
}

fn patches(course: &Course, exercise: &Exercise) -> anyhow::Result<Vec<PathBuf>> {
    let folder =
        course.root.join("solutions").join(exercise.solution()).join("wrong");
    let entries =
        fs::read_dir(&folder).with_context(|| format!("cannot read {folder:?}"))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut patches: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|it| it == "patch"))
        .collect();
    patches.sort();
    Ok(patches)
}

/// The test that rejects this wrong answer with the right words; or why there is none.
fn find_out(
    course: &Course,
    copied: &Course,
    exercise: &Exercise,
    patch: &Path,
) -> anyhow::Result<Result<String, String>> {
    let text = read(patch)?;
    let Some(says) = text.lines().find_map(|line| line.strip_prefix("says: "))
    else {
        bail!("{} does not say what a test has to say", patch.display());
    };
    let answer =
        Path::new("solutions").join(exercise.solution()).join(Exercise::ANSWER);
    fs::copy(course.root.join(&answer), copied.root.join(&answer))?;
    let patched = Command::new("patch")
        .args([
            "--quiet",
            "--strip=1",
            "--no-backup-if-mismatch",
            "--fuzz=0",
            "--input",
        ])
        .arg(fs::canonicalize(patch)?)
        .current_dir(copied.root.join("solutions").join(exercise.solution()))
        .stdout(Stdio::null())
        .status()
        .context("cannot run patch")?;
    if !patched.success() {
        return Ok(Err("the patch does not fit the solution".to_owned()));
    }
    let target = copied.root.with_file_name("target");
    let built = match build(&copied.root, &exercise.solution(), Some(&target)) {
        Ok(built) => built,
        Err(errors) => return Ok(Err(format!("it does not compile:\n{errors}"))),
    };
    let mut others = Vec::new();
    for verdict in built.judge().filter(|it| !it.passed) {
        if verdict.reason.contains(says) {
            return Ok(Ok(verdict.test));
        }
        others.push(verdict.reason);
    }
    Ok(Err(match others.first() {
        None => "it passes all tests".to_owned(),
        Some(other) => format!("nobody says '{says}', but:\n{other}"),
    }))
}
