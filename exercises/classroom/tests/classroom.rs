//! What teachers and students do with this program, and what students may try.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use testkit::{Output, Program, TempDir, temp_dir};

const ANSWER: &str = "exercises/ex01-wait/src/solution.rs";

/// The top of this checkout.
fn course() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("exercises/classroom")
        .into()
}

fn classroom(folder: &Path, arguments: &[&str]) -> Output {
    let program =
        Program::new(env!("CARGO_BIN_EXE_classroom")).args(arguments).cwd(folder);
    program.limit(Duration::from_secs(400)).output()
}

/// What a student has handed in: a folder with one answer in it.
struct Checkout(TempDir);

impl Checkout {
    fn new() -> Checkout {
        let dir = temp_dir();
        fs::create_dir_all(dir.path().join(ANSWER).parent().expect("a folder"))
            .expect("mkdir");
        Checkout(dir)
    }

    fn with(answer: &str) -> Checkout {
        let checkout = Checkout::new();
        fs::write(checkout.answer(), answer).expect("to write");
        checkout
    }

    fn answer(&self) -> PathBuf {
        self.0.path().join(ANSWER)
    }
}

fn solution() -> String {
    fs::read_to_string(course().join("solutions/sol01-wait/src/solution.rs"))
        .expect("the solution")
}

/// Grades exercise 1 of all these; the summary of each.
fn grade(checkouts: &[&Checkout]) -> Vec<Value> {
    let out = temp_dir();
    let folder = out.path().to_str().expect("UTF-8");
    let paths: Vec<&str> =
        checkouts.iter().map(|it| it.0.path().to_str().expect("UTF-8")).collect();
    let arguments =
        [&["grade", "--only", "1", "--out", folder], &paths[..]].concat();
    let output = classroom(&course(), &arguments);
    assert!(output.status.success(), "{output:?}");
    let results = paths.iter().map(|path| {
        let folder = out.path().join(Path::new(path).file_name().expect("a name"));
        let junit = fs::read_to_string(folder.join("junit.xml")).expect("JUnit");
        assert!(junit.contains("<testsuite name=\"ex01-wait\""), "{junit}");
        let summary =
            fs::read_to_string(folder.join("summary.json")).expect("a summary");
        serde_json::from_str::<Value>(&summary).expect("JSON")["results"][0].take()
    });
    results.collect()
}

#[test]
fn answers_are_judged_whatever_they_are() {
    let forged = "pub fn run_all(_: &[String]) -> Vec<i32> {
        println!(\"test no_zombie_is_left ... ok\\n\\ntest result: ok. 5 passed\");
        std::process::exit(0);
    }";
    let hanging = "pub fn run_all(_: &[String]) -> Vec<i32> { loop {} }";
    let solved = Checkout::with(&solution());
    let wrong =
        Checkout::with("pub fn run_all(_: &[String]) -> Vec<i32> { vec![0; 8] }");
    let broken = Checkout::with("pub fn run_all( -> Vec<i32> {}");
    let forged = Checkout::with(forged);
    let hanging = Checkout::with(hanging);
    let missing = Checkout::new();
    let linked = Checkout::new();
    symlink("/etc/passwd", linked.answer()).expect("a link");
    // The tests that a student hands in are not looked at.
    let tests = solved.0.path().join("exercises/ex01-wait/tests");
    fs::create_dir(&tests).expect("mkdir");
    fs::write(tests.join("check.rs"), "#[test] fn fine() {}").expect("to write");

    let all = [&solved, &wrong, &broken, &forged, &hanging, &missing, &linked];
    let [solved, wrong, broken, forged, hanging, missing, linked] =
        grade(&all).try_into().expect("seven results");
    assert_eq!(
        (&solved["solved"], &solved["failed"]),
        (&true.into(), &0.into()),
        "{solved}"
    );
    assert!(
        solved["passed"].as_u64() > Some(4),
        "our own tests, and all of them: {solved}"
    );
    for (what, result, says) in [
        ("wrong", &wrong, "exit code"),
        ("broken", &broken, "error"),
        ("forged", &forged, "all have ended"),
        ("hanging", &hanging, "all have ended"),
        ("missing", &missing, "there is no src/solution.rs"),
        ("linked", &linked, "cannot be read"),
    ] {
        assert_eq!(result["solved"], false, "{what}: {result}");
        let reason = result["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(says), "{what}: {reason}");
    }
    assert!(
        !linked.to_string().contains("root:"),
        "nothing of the file is shown: {linked}"
    );
}

#[test]
fn a_path_that_is_no_checkout_is_an_error_before_the_work_begins() {
    for (path, says) in
        [("/nowhere", "cannot find the checkout"), ("/etc", "no checkout")]
    {
        let output = classroom(&course(), &["grade", path]);
        assert_eq!(output.status.code(), Some(1));
        assert!(output.stderr.contains(says), "{output:?}");
    }
    let output = classroom(&course(), &["grade"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = classroom(&course(), &["reset", "ex99"]);
    assert!(output.stderr.contains("there is no exercise 'ex99'"), "{output:?}");
}

#[test]
fn a_handout_has_no_solutions_and_can_be_reset() {
    let dir = temp_dir();
    let folder = dir.path().join("handout");
    let path = folder.to_str().expect("UTF-8");
    let output = classroom(&course(), &["handout", path]);
    assert!(output.status.success(), "{output:?}");
    assert!(!folder.join("solutions").exists() && !folder.join(".ci").exists());
    let summary =
        fs::read_to_string(folder.join("book/src/SUMMARY.md")).expect("the book");
    assert!(
        summary.contains("exercises/") && !summary.contains("olutions"),
        "{summary}"
    );
    let readme = fs::read_to_string(folder.join("README.md")).expect("the README");
    assert!(!readme.contains("`solutions`"), "{readme}");

    let answer = folder.join(ANSWER);
    let stub = fs::read_to_string(&answer).expect("the stub");
    fs::write(&answer, "my work").expect("to write");
    let output = classroom(&folder, &["reset", "1"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&answer).expect("the stub"), stub);
    let aside = answer.with_extension("rs.before-reset");
    assert_eq!(
        fs::read_to_string(aside).expect("what was there before"),
        "my work"
    );

    // Handed out in another way, the tag is gone; and the student has committed.
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=student", "-c", "user.email=student@localhost"];
        let output =
            Program::new("git").args(who).args(arguments).cwd(&folder).output();
        assert!(output.status.success(), "{output:?}");
    };
    git(&["tag", "--delete", "handout"]);
    fs::write(&answer, "my work").expect("to write");
    git(&["commit", "--quiet", "--all", "--message", "Exercise 1"]);
    let output = classroom(&folder, &["reset", "1"]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(fs::read_to_string(&answer).expect("the stub"), stub);

    let again = classroom(&course(), &["handout", path]);
    assert!(again.stderr.contains("is not empty"), "{again:?}");
    let metadata = Program::new("cargo")
        .args(["metadata", "--locked", "--no-deps", "--format-version", "1"])
        .cwd(&folder)
        .output();
    assert!(metadata.status.success(), "the workspace is whole: {metadata:?}");
}
