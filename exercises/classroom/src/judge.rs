//! Builds the tests of an exercise, and runs them one by one.
//!
//! The student's code runs in a process of its own, which the tests start: so how a *test* ends is the
//! tests' own word, and nothing that a student prints can change it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::{Program, Running, try_eventually};

/// How long a build may take.
const BUILD_LIMIT: Duration = Duration::from_secs(600);

/// How long one test may take. The tests end themselves sooner.
const TEST_LIMIT: Duration = Duration::from_secs(40);

/// The tests of one package, built.
#[derive(Debug)]
pub struct Built {
    tests: PathBuf,
    /// What the file was when it was built: nobody else may have changed it when it is run.
    hash: u64,
}

/// How one test ended.
#[derive(Debug, Clone)]
pub struct Verdict {
    /// The test's name.
    pub test: String,
    /// Whether the answer passes it.
    pub passed: bool,
    /// How long it took.
    pub took: Duration,
    /// Why it failed, in the test's own words; empty if it has passed.
    pub reason: String,
}

/// Builds the tests of `package` and the program that they judge.
///
/// # Errors
/// What the compiler says.
pub fn build(
    root: &Path,
    package: &str,
    target: Option<&Path>,
) -> Result<Built, String> {
    let mut cargo =
        Program::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
            .args([
                "test",
                "--no-run",
                "--quiet",
                "--test",
                "judge",
                "--package",
                package,
            ])
            .args(["--message-format", "json"])
            .cwd(root);
    if let Some(target) = target {
        cargo = cargo.env("CARGO_TARGET_DIR", target);
    }
    let cargo = cargo.start();
    let Some(status) = try_eventually(BUILD_LIMIT, || cargo.try_wait()) else {
        return Err(format!(
            "the build took more than {} s",
            BUILD_LIMIT.as_secs()
        ));
    };
    let _ = try_eventually(Duration::from_secs(1), || {
        cargo.output_ended().then_some(())
    });
    let said = cargo.stdout();
    let messages =
        said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let (mut tests, mut errors) = (None, String::new());
    for message in messages {
        let is_test = message["target"]["name"] == "judge";
        if let Some(path) = message["executable"].as_str().filter(|_| is_test) {
            tests = Some(PathBuf::from(path));
        }
        if message["message"]["level"] == "error" {
            errors.push_str(
                message["message"]["rendered"].as_str().unwrap_or_default(),
            );
        }
    }
    match tests {
        Some(tests) if status.success() => {
            let hash = hash_of(&tests)
                .map_err(|error| format!("cannot read {tests:?}: {error}"))?;
            Ok(Built { tests, hash })
        }
        _ if errors.is_empty() => Err(cargo.stderr()),
        _ => Err(errors),
    }
}

impl Built {
    /// Copies the tests and the program `package` to `folder`, so that another build can take their
    /// place.
    pub fn move_to(self, folder: &Path, package: &str) -> anyhow::Result<Built> {
        let deps = folder.join("deps");
        fs::create_dir_all(&deps)?;
        let name = self.tests.file_name().unwrap_or_default();
        let built =
            self.tests.parent().and_then(Path::parent).unwrap_or(Path::new("."));
        fs::copy(built.join(package), folder.join(package))?;
        let tests = deps.join(name);
        fs::copy(&self.tests, &tests)?;
        Ok(Built { hash: hash_of(&tests)?, tests })
    }

    /// The names of the tests.
    pub fn names(&self) -> Vec<String> {
        let listed = self.start(&["--list", "--format", "terse"]);
        let _ = try_eventually(TEST_LIMIT, || {
            listed.try_wait().filter(|_| listed.output_ended())
        });
        let names = listed.stdout();
        names
            .lines()
            .filter_map(|line| Some(line.strip_suffix(": test")?.to_owned()))
            .collect()
    }

    /// Runs every test, one after another: each when it is asked for.
    pub fn judge(&self) -> impl Iterator<Item = Verdict> {
        self.names().into_iter().map(|test| self.run(test))
    }

    fn run(&self, test: String) -> Verdict {
        if hash_of(&self.tests).ok() != Some(self.hash) {
            let reason = "the tests were changed after they were built".to_owned();
            return Verdict { test, passed: false, took: Duration::ZERO, reason };
        }
        let began = Instant::now();
        let running = self.start(&[&test, "--exact", "--nocapture"]);
        let status = try_eventually(TEST_LIMIT, || running.try_wait());
        let _ = try_eventually(Duration::from_secs(1), || {
            running.output_ended().then_some(())
        });
        let took = began.elapsed();
        let passed = status.is_some_and(|status| status.success());
        let reason = match status {
            _ if passed => String::new(),
            None => format!("it took more than {} s", TEST_LIMIT.as_secs()),
            Some(status) => reason(&running.stderr(), &test)
                .unwrap_or_else(|| format!("the test itself ended with {status}")),
        };
        Verdict { test, passed, took, reason }
    }

    fn start(&self, arguments: &[&str]) -> Running {
        Program::new(&self.tests).args(arguments).env("RUST_BACKTRACE", "0").start()
    }
}

/// What a test has said when it panicked.
fn reason(stderr: &str, test: &str) -> Option<String> {
    let begin = stderr.find(&format!("thread '{test}'"))?;
    let message = stderr[begin..].split_once(":\n")?.1;
    let end =
        message.rfind("\nnote: run with `RUST_BACKTRACE").unwrap_or(message.len());
    Some(message[..end].trim().to_owned())
}

fn hash_of(file: &Path) -> std::io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    fs::read(file)?.hash(&mut hasher);
    Ok(hasher.finish())
}
