//! What the tests of `classroom` share.

#![allow(dead_code)] // Each test program uses some of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use testkit::{Output, Program, TempDir, temp_dir};

/// The top folder of this checkout.
pub fn course() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("exercises/classroom").into()
}

/// `classroom` with these arguments, to be run in `folder`.
pub fn classroom(folder: &Path, arguments: &[&str]) -> Program {
    let program = Program::new(env!("CARGO_BIN_EXE_classroom"));
    program.args(arguments).cwd(folder).env_remove("CARGO_TARGET_DIR")
}

/// Runs `classroom`. It may build a lot on a busy machine.
pub fn run(folder: &Path, arguments: &[&str]) -> Output {
    classroom(folder, arguments).limit(Duration::from_secs(600)).output()
}

/// Runs git in `folder`, and returns what it prints.
pub fn git(folder: &Path, arguments: &[&str]) -> String {
    let who = ["-c", "user.name=student", "-c", "user.email=student@localhost"];
    let git = Program::new("git").args(who).args(arguments).cwd(folder);
    let output = git.output();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    output.stdout
}

/// A course with three small exercises, which build in a second. Each wants a number: its
/// first test is content with 1, its second with 2.
pub struct SmallCourse {
    folder: TempDir,
}

impl SmallCourse {
    pub fn new() -> SmallCourse {
        let course = SmallCourse { folder: temp_dir() };
        course.write("exercises/classroom/Cargo.toml", "");
        course.write(
            "Cargo.toml",
            "[workspace]\nresolver = \"3\"\nmembers = [\"exercises/ex*\"]\n",
        );
        for name in ["ex01-one", "ex02-two", "ex03-three"] {
            let file = |path: &str| format!("exercises/{name}/{path}");
            course.write(
                &file("Cargo.toml"),
                &format!("[package]\nname = \"{name}\"\nedition = \"2024\"\n"),
            );
            let number = &name[3..4];
            course.write(
                &file("README.md"),
                &format!("# Exercise {number}: a number\n\nText.\n"),
            );
            course.write(&file("src/lib.rs"), "");
            course.write(&file("tests/check.rs"), CHECK);
            course.solve(name, 0);
        }
        course.write("book/src/exercises/ex01.md", PAGE);
        course
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes the solution of an exercise.
    pub fn solve(&self, name: &str, number: u32) {
        let text = format!("pub const NUMBER: u32 = {number};\n");
        self.write(&format!("exercises/{name}/src/solution.rs"), &text);
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("mkdir");
        fs::write(path, text).expect("to write");
    }
}

const CHECK: &str = r#"
#[path = "../src/solution.rs"]
mod solution;

#[test]
fn small_number() {
    assert!(solution::NUMBER >= 1, "it should be at least 1, and it is {}", solution::NUMBER);
}

#[test]
fn larger_number() {
    assert!(solution::NUMBER >= 2, "it should be at least 2, and it is {}", solution::NUMBER);
}
"#;

const PAGE: &str = "
# Exercise 1

<details><summary>Hint 1: where to <code>begin</code></summary>

Think of a number.

</details>

<details><summary>Hint 2: more</summary>

Take 2.

</details>
";
