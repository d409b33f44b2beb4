//! `classroom handout`: a class gets the stubs, whatever the state of the teacher's checkout.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::{classroom, course, git, run};
use testkit::{Program, TempDir, temp_dir};

const ONE: &str = "exercises/ex01-wait/src/solution.rs";
const THREE: &str = "exercises/ex03-framing/src/solution.rs";

/// A clone of this checkout's last commit, for a teacher to work in.
struct Teacher {
    folder: TempDir,
}

impl Teacher {
    fn new() -> Teacher {
        let teacher = Teacher { folder: temp_dir() };
        let from = course();
        let from = from.to_str().expect("UTF-8");
        git(teacher.folder.path(), &["clone", "--quiet", from, "course"]);
        teacher
    }

    fn course(&self) -> PathBuf {
        self.folder.path().join("course")
    }

    /// Makes a handout, and returns where it is.
    fn hand_out(&self) -> (PathBuf, String) {
        let folder = self.folder.path().join("handout");
        let output =
            run(&self.course(), &["handout", folder.to_str().expect("UTF-8")]);
        assert!(output.status.success(), "{output:?}");
        (folder, output.stdout)
    }
}

fn text(folder: &Path, file: &str) -> String {
    fs::read_to_string(folder.join(file)).expect("a text file")
}

#[test]
fn a_handout_has_the_stubs_even_if_the_teacher_has_solved_them() {
    let teacher = Teacher::new();
    let course = teacher.course();
    let (one, three) = (text(&course, ONE), text(&course, THREE));
    assert!(one.contains("todo!(") && three.matches("todo!(").count() > 1, "stubs");
    // The newest stub counts, even if a commit changed nothing else.
    let one = one.replace("//! Your part.", "//! Your part, better said.");
    fs::write(course.join(ONE), &one).expect("to write");
    git(&course, &["commit", "--quiet", "--all", "--message", "A better stub"]);
    // One is solved and committed, the other half solved and committed, then solved.
    fs::write(course.join(ONE), "pub fn run_all() {}").expect("to write");
    fs::write(course.join(THREE), three.replacen("todo!(", "drop(", 1))
        .expect("to write");
    git(&course, &["commit", "--quiet", "--all", "--message", "My solutions"]);
    fs::write(course.join(THREE), "mine").expect("to write");
    fs::write(course.join("exercises/notes.txt"), "mine").expect("to write");

    let (handout, said) = teacher.hand_out();
    assert_eq!((text(&handout, ONE), text(&handout, THREE)), (one, three));
    assert!(
        !handout.join("exercises/notes.txt").exists(),
        "it was never committed"
    );
    assert!(said.contains("not committed is not in it"), "{said}");
    assert_eq!(git(&handout, &["status", "--porcelain"]), "");
}

#[test]
fn a_handout_has_no_solutions_and_is_whole() {
    let teacher = Teacher::new();
    let (handout, _) = teacher.hand_out();
    for gone in ["solutions", ".ci", ".github", "book/src/solutions"] {
        assert!(!handout.join(gone).exists(), "{gone}");
    }
    let pages = Program::new("grep").args(["-rlE", "solutions/|classroom mutants"]);
    let pages =
        pages.args(["README.md", "book/src", "exercises"]).arg("--include=*.md");
    assert_eq!(
        pages.cwd(&handout).output().stdout,
        "",
        "pages that mention solutions"
    );
    assert!(text(&handout, "book/src/SUMMARY.md").contains("(exercises/ex21.md)"));
    assert!(handout.join(".wr").read_dir().is_ok_and(|mut it| it.next().is_some()));
    let help = run(&handout, &["--help"]);
    assert!(!help.stdout.contains("mutants"), "{help:?}");
    let metadata = Program::new("cargo").args([
        "metadata",
        "--locked",
        "--no-deps",
        "--format-version",
        "1",
    ]);
    let metadata = metadata.cwd(&handout).output();
    assert!(metadata.status.success(), "the workspace is whole: {metadata:?}");

    let again =
        run(&teacher.course(), &["handout", handout.to_str().expect("UTF-8")]);
    assert!(again.stderr.contains("is not empty"), "{again:?}");
}

#[test]
fn the_settings_of_a_teacher_change_nothing() {
    let teacher = Teacher::new();
    let hooks = teacher.folder.path().join("hooks");
    fs::create_dir(&hooks).expect("mkdir");
    let hook = hooks.join("pre-commit");
    fs::write(&hook, "#!/bin/sh\nexit 1\n").expect("to write");
    fs::set_permissions(&hook, fs::Permissions::from_mode(0o755)).expect("chmod");
    let ignored = teacher.folder.path().join("ignored");
    fs::write(&ignored, "*.rs\n").expect("to write");
    let settings = format!(
        "[core]\nautocrlf = true\nhooksPath = {}\nexcludesFile = {}\n\
         [commit]\ngpgSign = true\n[tag]\ngpgSign = true\n[gpg]\nprogram = false\n",
        hooks.display(),
        ignored.display()
    );
    let config = teacher.folder.path().join("gitconfig");
    fs::write(&config, settings).expect("to write");

    // In a folder whose name has a space, as a path relative to a folder of the checkout.
    let here = teacher.course().join("exercises");
    let program = classroom(&here, &["handout", "../../hand out"]);
    let output = program
        .env("GIT_CONFIG_GLOBAL", &config)
        .limit(Duration::from_secs(600))
        .output();
    assert!(output.status.success(), "{output:?}");
    let handout = teacher.folder.path().join("hand out");
    let files = git(&handout, &["ls-tree", "-r", "--name-only", "handout"]);
    assert!(files.contains("src/solution.rs\n"), "{files}");
    let stub = fs::read(handout.join(ONE)).expect("a stub");
    assert_eq!(stub, fs::read(teacher.course().join(ONE)).expect("a stub"));
}

#[test]
fn a_student_restores_a_stub_with_git() {
    let teacher = Teacher::new();
    let (handout, _) = teacher.hand_out();
    let stub = text(&handout, ONE);
    fs::write(handout.join(ONE), "my work").expect("to write");
    git(&handout, &["restore", "exercises/ex01-wait"]);
    assert_eq!(text(&handout, ONE), stub);
    // The student has committed, and works in a clone.
    fs::write(handout.join(ONE), "my work").expect("to write");
    git(&handout, &["commit", "--quiet", "--all", "--message", "Exercise 1"]);
    let folder = teacher.folder.path();
    git(folder, &["clone", "--quiet", "handout", "student"]);
    let student = folder.join("student");
    git(&student, &["restore", "--source", "handout", "exercises/ex01-wait"]);
    assert_eq!(text(&student, ONE), stub);
}

#[test]
fn without_git_there_is_no_handout() {
    let folder = temp_dir();
    let marker = folder.path().join("exercises/classroom");
    fs::create_dir_all(&marker).expect("mkdir");
    fs::write(marker.join("Cargo.toml"), "").expect("to write");
    let output = run(folder.path(), &["handout", "copy"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.contains("is not a git checkout"), "{output:?}");
}
