//! The desk: a copy of the course in which submissions are built, and run by cargo-nextest.
//!
//! The tests come from our own checkout, and are built before the first submission. First
//! all submissions are built, then all are run: what a student's program does while it
//! runs changes nothing that is still to be built. Before and after each run, the tests and
//! the programs are compared with what was built.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use nix::libc;
use serde_json::Value;
use testkit::Program;

use crate::check::{cargo, finish, json_lines};
use crate::course::{Course, Exercise};
use crate::files::{copy, make_folder, read, write};
use crate::interrupt::remove_at_interrupt;

/// The longest solution that is read, in bytes.
const LONGEST_SOLUTION: u64 = 1 << 20;

/// How long it may take to build a submission.
const BUILD_LIMIT: Duration = Duration::from_secs(900);

/// How long the tests of a submission may take. nextest ends each test sooner
/// (`.config/nextest.toml`).
const RUN_LIMIT: Duration = Duration::from_secs(3600);

/// The tests, and what is needed to build and run submissions with them.
pub struct Desk {
    course: Course,
    exercises: Vec<Exercise>,
    /// What nextest and cargo say about the tests, for `cargo nextest run`.
    nextest: PathBuf,
    cargo: PathBuf,
    tests: Sealed,
    folder: testkit::TempDir,
}

/// A submission that was built.
pub struct Built {
    /// The programs, by the name of their exercise.
    programs: PathBuf,
    sealed: Sealed,
    /// Exercises without a program, and why.
    pub failed: BTreeMap<String, String>,
}

impl Desk {
    /// Copies the course and builds the tests of these exercises.
    ///
    /// # Errors
    /// If cargo-nextest is not installed, or the tests do not build.
    pub fn set_up(course: &Course, exercises: &[Exercise]) -> anyhow::Result<Desk> {
        let folder = testkit::temp_dir();
        remove_at_interrupt(folder.path().to_owned())?;
        let course = copy_of(course, exercises, &folder.path().join("course"))?;
        let mut desk = Desk {
            nextest: folder.path().join("nextest.json"),
            cargo: folder.path().join("cargo.json"),
            exercises: exercises.to_vec(),
            tests: Sealed::default(),
            course,
            folder,
        };
        let list = desk.cargo(&["nextest", "list", "--test", "check"]);
        let list =
            list.args(["--list-type", "binaries-only", "--message-format", "json"]);
        let tests = printed(list.args(desk.packages()), BUILD_LIMIT)?;
        let said: Value = serde_json::from_str(&tests)?;
        write(&desk.nextest, &tests)?;
        // Without the platform, cargo needs packages that are only for others.
        let platform =
            &said["rust-build-meta"]["platforms"]["host"]["platform"]["triple"];
        let metadata = desk.cargo(&["metadata", "--format-version", "1"]);
        let metadata = metadata
            .args(["--filter-platform", platform.as_str().unwrap_or_default()]);
        write(&desk.cargo, printed(metadata, BUILD_LIMIT)?)?;
        let programs =
            said["rust-binaries"].as_object().context("no tests")?.values();
        let paths = programs.filter_map(|it| it["binary-path"].as_str());
        desk.tests = Sealed::of(paths.map(PathBuf::from).collect())?;
        Ok(desk)
    }

    /// Builds what is in `folder`, a student's folder `exercises`. A solution that does not
    /// compile, or is missing, does not keep the others from being built.
    pub fn build(&self, folder: &Path) -> anyhow::Result<Built> {
        let mut failed = BTreeMap::new();
        for exercise in &self.exercises {
            match read_solution(folder, exercise) {
                Ok(text) => write(&self.course.solution(exercise), text)?,
                Err(why) => drop(failed.insert(exercise.name.clone(), why)),
            }
        }
        let cargo =
            self.cargo(&["build", "--keep-going", "--quiet", "--test", "check"]);
        let cargo = cargo.args(["--message-format", "json"]).args(self.packages());
        let (status, cargo) = finish(cargo, BUILD_LIMIT);
        let (mut built, mut errors) =
            (BTreeMap::new(), BTreeMap::<String, String>::new());
        for message in json_lines(&cargo.stdout()) {
            let name =
                message["target"]["name"].as_str().unwrap_or_default().to_owned();
            if let Some(path) = message["executable"].as_str() {
                built.insert(name, PathBuf::from(path));
            } else if message["message"]["level"] == "error" {
                let text = message["message"]["rendered"].as_str();
                errors.entry(name).or_default().push_str(text.unwrap_or_default());
            }
        }
        let programs = self.folder.path().join(format!("built-{}", unique()));
        make_folder(&programs)?;
        for Exercise { name } in &self.exercises {
            if failed.contains_key(name) {
                continue;
            }
            if let Some(path) = built.get(name) {
                fs::copy(path, programs.join(name))
                    .context("cannot copy a program")?;
            } else {
                let why = errors.remove(name).unwrap_or_else(|| match status {
                    None => format!("the build takes more than {BUILD_LIMIT:?}"),
                    Some(_) => cargo.stderr(),
                });
                failed.insert(name.clone(), why);
            }
        }
        for (name, why) in &failed {
            instead_of_a_program(&programs.join(name), why)?;
        }
        let paths =
            self.exercises.iter().map(|it| programs.join(&it.name)).collect();
        Ok(Built { sealed: Sealed::of(paths)?, programs, failed })
    }

    /// Runs all tests of a submission. Returns nextest's report, in the format of JUnit.
    pub fn check(&self, built: &Built) -> anyhow::Result<String> {
        let target = self.course.root.join("target/debug");
        for Exercise { name } in &self.exercises {
            // A process of the submission before may still run it; a new file is another.
            let _ = fs::remove_file(target.join(name));
            fs::copy(built.programs.join(name), target.join(name))
                .with_context(|| format!("cannot copy {name}"))?;
        }
        let report = self.course.root.join("target/nextest/grade/junit.xml");
        let _ = fs::remove_file(&report);
        let run =
            self.cargo(&["nextest", "run", "--profile", "grade", "--no-fail-fast"]);
        let run = run.arg("--binaries-metadata").arg(&self.nextest);
        let run = run.arg("--cargo-metadata").arg(&self.cargo);
        let (status, run) = self.sealed(built, || finish(run, RUN_LIMIT))?;
        // nextest exits with 0 if all tests pass, and with 100 if some fail.
        match status.and_then(|status| status.code()) {
            Some(0 | 100) => Ok(only_xml(&read(&report)?)),
            None => bail!("the tests take more than {RUN_LIMIT:?}"),
            Some(code) => {
                bail!("cargo nextest exited with {code}: {}", run.stderr())
            }
        }
    }

    /// Does something while no test and no program of `built` may change.
    fn sealed<T>(
        &self,
        built: &Built,
        run: impl FnOnce() -> T,
    ) -> anyhow::Result<T> {
        let seals = [&self.tests, &built.sealed];
        let broken = || seals.into_iter().find_map(Sealed::broken);
        if let Some(path) = broken() {
            bail!("{} was changed since it was built", path.display());
        }
        let result = run();
        match broken() {
            Some(path) => {
                bail!("{} was changed while the tests ran", path.display())
            }
            None => Ok(result),
        }
    }

    fn cargo(&self, words: &[&str]) -> Program {
        let cargo = cargo().args(words).cwd(&self.course.root);
        let cargo = cargo.env("CARGO_TARGET_DIR", self.course.root.join("target"));
        // Thirty submissions need less space so, and are built sooner.
        cargo.env("CARGO_PROFILE_DEV_DEBUG", "0").env("CARGO_INCREMENTAL", "0")
    }

    fn packages(&self) -> Vec<&str> {
        self.exercises.iter().flat_map(|it| ["--package", &it.name]).collect()
    }
}

/// A copy of what the exercises need, with solutions that compile: without a program, cargo
/// does not build its tests.
fn copy_of(
    course: &Course,
    exercises: &[Exercise],
    to: &Path,
) -> anyhow::Result<Course> {
    for part in [
        "Cargo.toml",
        "Cargo.lock",
        "chapters",
        "exercises",
        ".cargo",
        ".config",
        "vendor",
    ] {
        copy(&course.root.join(part), &to.join(part))?;
    }
    let desk = Course { root: to.to_owned() };
    desk.drop_solved_packages()?;
    for exercise in exercises {
        let solved = course.root.join("solutions").join(exercise.solved_package());
        copy(&solved.join(Exercise::SOLUTION), &desk.solution(exercise))?;
    }
    Ok(desk)
}

/// What a program prints.
///
/// # Errors
/// If it fails: what it prints on standard error.
fn printed(program: Program, limit: Duration) -> anyhow::Result<String> {
    match finish(program, limit) {
        (Some(status), said) if status.success() => Ok(said.stdout()),
        (_, said) => {
            Err(anyhow!("cannot build the tests: {}", said.stderr().trim_end()))
        }
    }
}

/// A student's file. It must be a file of at most 1 MiB, and no symbolic link may lead to
/// it: a link could lead to another student's file, or to one of ours.
fn read_solution(folder: &Path, exercise: &Exercise) -> Result<String, String> {
    let what = Exercise::SOLUTION;
    let path = folder.join(&exercise.name).join(what);
    match fs::canonicalize(&path) {
        Ok(real) if real != path => {
            return Err(format!("{what} is a symbolic link"));
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(format!("there is no {what}"));
        }
        _ => {}
    }
    let cannot = |error| format!("{what} cannot be read: {error}");
    // Not to block in open(2) if it is a FIFO.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(&path);
    let file = file.map_err(cannot)?;
    if !file.metadata().is_ok_and(|it| it.is_file()) {
        return Err(format!("{what} is not a regular file"));
    }
    let mut text = String::new();
    file.take(LONGEST_SOLUTION + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > LONGEST_SOLUTION {
        return Err(format!("{what} is longer than 1 MiB"));
    }
    Ok(text)
}

/// Writes a script that says why there is no program. So the tests fail, and nextest's
/// report has the reason.
fn instead_of_a_program(path: &Path, why: &str) -> anyhow::Result<()> {
    let why = why.replace('\'', "'\\''");
    write(path, format!("#!/bin/sh\nprintf '%s\\n' '{why}' >&2\nexit 101\n"))?;
    Ok(fs::set_permissions(path, Permissions::from_mode(0o755))?)
}

/// nextest quotes what a program prints, and leaves out most of what XML does not allow
/// (XML 1.0, 2.2), but U+FFFE and U+FFFF: with one of these, no program can read the report.
fn only_xml(report: &str) -> String {
    report.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// A number that no other call returns.
fn unique() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Files that must not change.
#[derive(Default)]
struct Sealed(Vec<(PathBuf, u64)>);

impl Sealed {
    fn of(paths: Vec<PathBuf>) -> anyhow::Result<Sealed> {
        let sealed =
            paths.into_iter().map(|path| Ok((path.clone(), hash_of(&path)?)));
        Ok(Sealed(sealed.collect::<std::io::Result<_>>()?))
    }

    /// A file that has changed.
    fn broken(&self) -> Option<&Path> {
        let changed = |it: &&(PathBuf, u64)| hash_of(&it.0).ok() != Some(it.1);
        self.0.iter().find(changed).map(|it| &*it.0)
    }
}

fn hash_of(file: &Path) -> std::io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    fs::read(file)?.hash(&mut hasher);
    Ok(hasher.finish())
}
