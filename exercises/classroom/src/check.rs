//! Builds the tests of an exercise, and runs them one by one.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use serde_json::Value;
use testkit::{LAB_NOTE, Program, Running, try_eventually};

/// How long a build may take.
pub const BUILD_LIMIT: Duration = Duration::from_secs(600);

/// How long one test may take. A test of an exercise fails by itself sooner than that, even
/// on a busy machine.
const TEST_LIMIT: Duration = Duration::from_secs(120);

/// The tests of one package, built.
#[derive(Debug)]
pub struct Tests {
    program: PathBuf,
    names: Vec<String>,
}

/// A test that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The name of the test.
    pub test: String,
    /// What the test says.
    pub message: String,
}

/// Builds the tests of `package`, in the workspace `root`, and the program that they start.
///
/// # Errors
/// What the compiler says.
pub fn build(
    root: &Path,
    package: &str,
    target: Option<&Path>,
) -> Result<Tests, String> {
    let mut cargo = cargo()
        .args(["test", "--no-run", "--quiet", "--test", "check"])
        .args(["--package", package, "--message-format", "json"])
        .cwd(root);
    if let Some(target) = target {
        cargo = cargo.env("CARGO_TARGET_DIR", target);
    }
    let (status, cargo) = finish(cargo, BUILD_LIMIT);
    let Some(status) = status else {
        return Err(format!("the build takes more than {BUILD_LIMIT:?}"));
    };
    let (mut program, mut errors) = (None, String::new());
    for message in json_lines(&cargo.stdout()) {
        let path = message["executable"].as_str();
        if let Some(path) = path.filter(|_| message["target"]["name"] == "check") {
            let source = message["target"]["src_path"].as_str().unwrap_or_default();
            program = Some((PathBuf::from(path), PathBuf::from(source)));
        }
        if message["message"]["level"] == "error" {
            let rendered = message["message"]["rendered"].as_str();
            errors.push_str(rendered.unwrap_or_default());
        }
    }
    match program {
        Some((program, source)) if status.success() => {
            Ok(Tests::in_program(program, &source))
        }
        _ if errors.is_empty() => Err(cargo.stderr()),
        _ => Err(errors),
    }
}

impl Tests {
    /// The tests are in the order of their source: what should work first is tested first.
    fn in_program(program: PathBuf, source: &Path) -> Tests {
        let list = Program::new(&program).args(["--list", "--format", "terse"]);
        let (_, listed) = finish(list, TEST_LIMIT);
        let text = listed.stdout();
        let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        let source = fs::read_to_string(source).unwrap_or_default();
        names.sort_by_key(|name| place_in(&source, name));
        Tests { names, program }
    }

    /// Runs the tests in order, each when the iterator reaches it. Yields those that fail.
    pub fn failures(&self) -> impl Iterator<Item = Failure> {
        self.names.iter().filter_map(|test| self.failure(test))
    }

    fn failure(&self, test: &str) -> Option<Failure> {
        let program = Program::new(&self.program).args([test, "--exact"]);
        let (status, running) =
            finish(program.env("RUST_BACKTRACE", "0"), TEST_LIMIT);
        let message = match status {
            Some(status) if status.success() => return None,
            None => format!("the test takes more than {TEST_LIMIT:?}"),
            Some(status) => message(&running.stdout(), test).unwrap_or_else(|| {
                format!("the test itself ended: {status}\n{}", running.stderr())
            }),
        };
        Some(Failure { test: test.to_owned(), message })
    }
}

/// Builds the tests of `package`, and runs them up to the first that fails. The compiler's
/// errors are a failure, too.
pub fn first_failure(root: &Path, package: &str) -> Option<Failure> {
    match build(root, package, None) {
        Ok(tests) => tests.failures().next(),
        Err(message) => {
            Some(Failure { test: "it does not compile".to_owned(), message })
        }
    }
}

/// Where a test is in the source of its tests.
pub fn place_in(source: &str, test: &str) -> Option<usize> {
    source.find(&format!("fn {test}("))
}

/// The cargo that started this program.
pub fn cargo() -> Program {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    Program::new(cargo).env("RUST_BACKTRACE", "0")
}

/// Starts a program, and blocks until it has exited and its output has ended. No status if
/// that takes longer than `limit`.
pub fn finish(program: Program, limit: Duration) -> (Option<ExitStatus>, Running) {
    let running = program.start();
    let status = try_eventually(limit, || running.try_wait());
    // A process that it left behind may hold its output open.
    let ended = || running.output_ended().then_some(());
    let _ = try_eventually(Duration::from_secs(1), ended);
    (status, running)
}

/// What cargo prints with `--message-format json`: one JSON object a line.
pub fn json_lines(text: &str) -> impl Iterator<Item = Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

/// What a test printed when it failed.
fn message(stdout: &str, test: &str) -> Option<String> {
    let (_, text) = stdout.split_once(&format!("---- {test} stdout ----\n"))?;
    let text = text.rsplit_once("\n\nfailures:\n").map_or(text, |(text, _)| text);
    Some(without_frame(text))
}

/// The message of a panic, without the lines that the standard library puts around it.
pub fn without_frame(text: &str) -> String {
    let kept = text.lines().filter(|line| {
        let begins = line.starts_with("thread '") && line.contains(" panicked at ");
        let is_note = line.starts_with("note: run with `RUST_BACKTRACE")
            || line.starts_with(LAB_NOTE);
        !begins && !is_note
    });
    kept.collect::<Vec<_>>().join("\n").trim().to_owned()
}
