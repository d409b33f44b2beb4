//! Mutants: solutions with one likely mistake each, which the tests must reject.
//!
//! A mutant is a patch to a solution: `solutions/sol01-wait/mutants/never-waits.patch`. The
//! line above the patch has words that a failing test must say:
//!
//! ```text
//! says: no process has waited for them
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context as _, bail};
use cli::say;

use crate::check::build;
use crate::course::{Course, Exercise};
use crate::files::{copy, read, run as run_program};
use crate::interrupt::remove_at_interrupt;

/// Each exercise has at least so many.
const FEWEST: usize = 3;

/// Builds each mutant in a copy of the course, and looks for the test that rejects it.
pub fn run(course: &Course, exercises: &[Exercise]) -> anyhow::Result<ExitCode> {
    if !course.has_solved_packages() {
        bail!("there are no solutions here, so there are no mutants");
    }
    let folder = testkit::temp_dir();
    remove_at_interrupt(folder.path().to_owned())?;
    let root = folder.path().join("course");
    for part in ["Cargo.toml", "Cargo.lock", "chapters", "exercises", "solutions"] {
        copy(&course.root.join(part), &root.join(part))?;
    }
    let bench = Bench { original: course, copy: Course { root } };
    let mutants: Vec<Mutants> = exercises
        .iter()
        .map(|exercise| bench.mutants_of(exercise))
        .collect::<Result<_, _>>()?;
    // The tests wait most of the time, so several exercises are checked at once. A mutant
    // that passes is checked once more, alone: a test that measures processor time may have
    // had too little of it.
    let several = 2 * thread::available_parallelism().map_or(1, usize::from);
    let passed = bench.check_all(mutants, several)?;
    for (exercise, patches) in &passed {
        say(format_args!("{}: {} once more", exercise.name, patches.len()));
    }
    let missed = bench.check_all(passed, 1)?;
    Ok(if missed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The mutants of one exercise.
type Mutants = (Exercise, Vec<PathBuf>);

/// The course, and the copy in which mutants are built.
struct Bench<'a> {
    original: &'a Course,
    copy: Course,
}

impl Bench<'_> {
    fn mutants_of(&self, exercise: &Exercise) -> anyhow::Result<Mutants> {
        let folder = self.package(self.original, exercise).join("mutants");
        let entries = fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut patches: Vec<PathBuf> = paths
            .filter(|path| path.extension().is_some_and(|it| it == "patch"))
            .collect();
        patches.sort();
        if patches.len() < FEWEST {
            bail!(
                "{} has {} mutants: {FEWEST} are needed",
                exercise.name,
                patches.len()
            );
        }
        Ok((exercise.clone(), patches))
    }

    fn package(&self, course: &Course, exercise: &Exercise) -> PathBuf {
        course.root.join("solutions").join(exercise.solved_package())
    }

    /// Checks the mutants, so many exercises at once. Returns those that no test rejects.
    fn check_all(
        &self,
        mutants: Vec<Mutants>,
        several: usize,
    ) -> anyhow::Result<Vec<Mutants>> {
        let queue = Mutex::new(mutants.into_iter());
        let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).next();
        let work = || -> anyhow::Result<Vec<Mutants>> {
            let mut missed = Vec::new();
            while let Some((exercise, patches)) = next() {
                let mut passed = Vec::new();
                for patch in patches {
                    if !self.is_rejected(&exercise, &patch)? {
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
        let results: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..several).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|it| it.join().expect("no panic")).collect()
        });
        Ok(results.into_iter().collect::<anyhow::Result<Vec<_>>>()?.concat())
    }

    fn is_rejected(
        &self,
        exercise: &Exercise,
        patch: &Path,
    ) -> anyhow::Result<bool> {
        let what = patch.file_stem().unwrap_or_default().to_string_lossy();
        let rejected = self.reject(exercise, patch)?;
        match &rejected {
            Ok(test) => say(format_args!("ok: {}: {what}: {test}", exercise.name)),
            Err(why) => {
                say(format_args!("NOT ok: {}: {what}: {why}", exercise.name))
            }
        }
        Ok(rejected.is_ok())
    }

    /// The test that rejects this mutant with the right words; or why there is none.
    fn reject(
        &self,
        exercise: &Exercise,
        patch: &Path,
    ) -> anyhow::Result<Result<String, String>> {
        let text = read(patch)?;
        let words = text.lines().find_map(|line| line.strip_prefix("says: "));
        let Some(words) = words else {
            bail!("{} does not say what a test must say", patch.display());
        };
        let package = self.package(&self.copy, exercise);
        let solution =
            self.package(self.original, exercise).join(Exercise::SOLUTION);
        fs::copy(solution, package.join(Exercise::SOLUTION))?;
        let mut command = Command::new("patch");
        command.args([
            "--strip=1",
            "--no-backup-if-mismatch",
            "--fuzz=0",
            "--input",
        ]);
        command.arg(fs::canonicalize(patch)?).current_dir(&package);
        if let Err(error) = run_program(&mut command) {
            return Ok(Err(format!("the patch does not fit: {error}")));
        }
        let target = self.copy.root.with_file_name("target");
        let package = exercise.solved_package();
        let tests = match build(&self.copy.root, &package, Some(&target)) {
            Ok(tests) => tests,
            Err(errors) => {
                return Ok(Err(format!("it does not compile:\n{errors}")));
            }
        };
        let mut others = Vec::new();
        for failure in tests.failures() {
            if failure.message.contains(words) {
                return Ok(Ok(failure.test));
            }
            others.push(failure.message);
        }
        Ok(Err(match others.first() {
            None => "it passes all tests".to_owned(),
            Some(other) => format!("no test says '{words}', but:\n{other}"),
        }))
    }
}
