//! `classroom grade`: what a teacher gets, and what students may hand in.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{classroom, course, run};
use serde_json::Value;
use testkit::{Signal, TempDir, assert_all_gone, eventually, temp_dir};

/// Submissions with a solution of exercise 1 each, and the results.
struct Class {
    folder: TempDir,
}

impl Class {
    fn new() -> Class {
        Class { folder: temp_dir() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Hands in this solution, in the checkout `name`.
    fn hand_in(&self, name: &str, solution: &str) {
        fs::write(self.solution(name), solution).expect("to write");
    }

    /// Where the solution is, in the checkout `name`.
    fn solution(&self, name: &str) -> PathBuf {
        let path = self.path(name).join("exercises/ex01-wait/src/solution.rs");
        fs::create_dir_all(path.parent().expect("a folder")).expect("mkdir");
        path
    }

    /// Grades exercise 1 of these submissions. What is printed.
    fn grade(&self, submissions: &[&str]) -> String {
        let paths: Vec<PathBuf> =
            submissions.iter().map(|it| self.path(it)).collect();
        let paths: Vec<&str> =
            paths.iter().map(|it| it.to_str().expect("UTF-8")).collect();
        let out = self.path("grades");
        let out = ["grade", "--only", "1", "--out", out.to_str().expect("UTF-8")];
        let output = run(&course(), &[&out, &paths[..]].concat());
        assert!(output.status.success(), "{output:?}");
        output.stdout
    }

    /// The result of exercise 1, from the summary and from the report.
    fn result(&self, name: &str) -> (Value, String) {
        let folder = self.path("grades").join(name);
        let summary =
            fs::read_to_string(folder.join("summary.json")).expect("a summary");
        let summary: Value = serde_json::from_str(&summary).expect("JSON");
        assert_eq!(summary["submission"], name);
        let junit = fs::read_to_string(folder.join("junit.xml")).expect("a report");
        assert!(junit.contains("<testsuite name=\"ex01-wait::check\""), "{junit}");
        (summary["results"][0].clone(), junit)
    }
}

fn solved() -> String {
    fs::read_to_string(course().join("solutions/sol01-wait/src/solution.rs"))
        .expect("the solution")
}

#[test]
fn each_submission_is_graded_whatever_is_in_it() {
    let class = Class::new();
    class.hand_in("ada/Lee's 2. try", &solved());
    // The tests that a student hands in have no effect.
    let tests = class.path("ada/Lee's 2. try/exercises/ex01-wait/tests");
    fs::create_dir(&tests).expect("mkdir");
    fs::write(tests.join("check.rs"), "#[test] fn fine() {}").expect("to write");
    // The folder `exercises` alone, with another name; and a file as an editor on another
    // system writes it.
    let crlf = solved().replace('\n', "\r\n");
    class.hand_in("bea", &format!("\u{feff}{crlf}"));
    fs::rename(class.path("bea/exercises"), class.path("bea/Lee's 2. try"))
        .expect("to rename");
    class.hand_in(
        "wrong",
        "pub fn run_all(_: &[String]) -> Vec<i32> { vec![0; 8] }",
    );
    class.hand_in("broken", "pub fn run_all( -> Vec<i32> {}");
    class.hand_in(
        "forged",
        "pub fn run_all(_: &[String]) -> Vec<i32> {
            println!(\"test no_zombie_is_left ... ok\\n\\ntest result: ok. 5 passed\");
            std::process::exit(0);
        }",
    );
    // Characters and bytes that XML does not allow, or that mean something in XML.
    class.hand_in(
        "binary",
        "pub fn run_all(_: &[String]) -> Vec<i32> {
            use std::io::Write as _;
            let bytes = b\"\\0\\x01\\x1b[31mred\\xff\\x0c]]>&<\\xef\\xbf\\xbe\\n\";
            let _ = std::io::stdout().write_all(bytes);
            panic!(\"\\u{0}\\u{1b}[31m]]>&amp;\\u{fffe}\\u{ffff}\\u{9f}\");
        }",
    );
    class
        .hand_in("hanging", "pub fn run_all(_: &[String]) -> Vec<i32> { loop {} }");
    fs::create_dir_all(class.path("missing/exercises/ex01-wait")).expect("mkdir");
    symlink("/etc/passwd", class.solution("linked")).expect("a link");
    fs::create_dir_all(class.path("copied/exercises/ex01-wait")).expect("mkdir");
    let of_another = class.path("ada/Lee's 2. try/exercises/ex01-wait/src");
    symlink(of_another, class.path("copied/exercises/ex01-wait/src"))
        .expect("a link");

    let said = class.grade(&[
        "ada/Lee's 2. try",
        "bea/Lee's 2. try",
        "wrong",
        "broken",
        "forged",
        "binary",
        "hanging",
        "missing",
        "linked",
        "copied",
    ]);
    assert!(said.contains("10 of 10: building"), "progress: {said}");
    assert!(
        said.contains("1 of 10: ada-Lee's 2. try solves 1 of 1 exercises"),
        "{said}"
    );
    for name in ["ada-Lee's 2. try", "bea-Lee's 2. try"] {
        let (result, junit) = class.result(name);
        assert_eq!(result["solved"], true, "{result}");
        assert!(
            result["passed"].as_u64() > Some(4),
            "all of our own tests: {result}"
        );
        assert!(junit.contains("failures=\"0\""), "{junit}");
    }
    for (name, says) in [
        ("wrong", "exit code"),
        ("broken", "error: "),
        ("forged", "all children"),
        ("binary", "]]>&"),
        ("hanging", "`run_all` should return"),
        ("missing", "there is no src/solution.rs"),
        ("linked", "is a symbolic link"),
        ("copied", "is a symbolic link"),
    ] {
        let (result, junit) = class.result(name);
        assert_eq!(result["solved"], false, "{name}: {result}");
        let reason = result["reason"].as_str().unwrap_or_default();
        assert!(reason.contains(says), "{name}: {reason}");
        assert!(!junit.contains("failures=\"0\""), "{name}: {junit}");
        assert!(
            !format!("{result}{junit}").contains("root:"),
            "the file of a link is not shown"
        );
    }
}

#[test]
fn a_wrong_path_is_an_error_before_the_work_begins() {
    for (path, says) in
        [("/nowhere", "cannot find"), ("/etc", "no folder 'exercises'")]
    {
        let output = run(&course(), &["grade", path]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            output.stderr.contains(says) && output.stdout.is_empty(),
            "{output:?}"
        );
    }
    let class = Class::new();
    class.hand_in("ada", "");
    let path = class.path("ada");
    let path = path.to_str().expect("UTF-8");
    let output = run(&course(), &["grade", "--out", "/dev/null/grades", path]);
    assert!(output.stderr.contains("cannot create"), "{output:?}");
    assert!(output.stdout.is_empty(), "{output:?}");
    assert_eq!(run(&course(), &["grade"]).status.code(), Some(2));
    let outside = run(Path::new("/"), &["next"]);
    assert!(outside.stderr.contains("not in a checkout"), "{outside:?}");
}

#[test]
fn an_interrupted_grading_leaves_nothing() {
    let class = Class::new();
    class.hand_in("ada", &solved());
    let temporary = class.path("tmp");
    fs::create_dir(&temporary).expect("mkdir");
    let (path, out) = (class.path("ada"), class.path("grades"));
    let arguments = ["grade", "--only", "1", "--out"];
    let grade = classroom(&course(), &arguments).args([out, path]);
    let grade = grade.env("TMPDIR", &temporary).start();
    let limit = Duration::from_secs(60);
    eventually("a build runs", limit, || {
        grade.descendants().iter().any(|it| it.command_line().contains("rustc"))
    });
    let family = grade.processes();
    grade.signal(Signal::SIGINT);
    assert_eq!(grade.wait(limit).code(), Some(130), "{}", grade.describe());
    assert_all_gone(&family, None, limit);
    let left = fs::read_dir(&temporary).expect("a folder").count();
    assert_eq!(left, 0, "folders are left in {}", temporary.display());
}

#[test]
fn without_cargo_nextest_the_error_says_how_to_install_it() {
    let class = Class::new();
    class.hand_in("ada", &solved());
    let path = class.path("ada");
    let grade = classroom(&course(), &["grade", path.to_str().expect("UTF-8")]);
    let output = grade.env("PATH", "/nonexistent").output();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        output.stderr.contains("cargo install cargo-nextest --locked"),
        "{output:?}"
    );
}
