//! What a student does with this program: `next`, `list` and `watch`.

mod common;

use std::fs;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use common::{SmallCourse, classroom, run};
use testkit::{Running, try_eventually};

#[test]
fn next_shows_the_first_exercise_that_is_not_solved_and_why() {
    let course = SmallCourse::new();
    let next = |arguments: &[&str]| {
        let output = run(course.path(), &[&["next"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        output.stdout
    };
    let said = next(&[]);
    assert!(said.starts_with("\nNext: ex01-one\n"), "{said}");
    assert!(said.contains("change   exercises/ex01-one/src/solution.rs"), "{said}");
    assert!(
        said.ends_with("\nsmall_number:\nit should be at least 1, and it is 0\n"),
        "one failure, and its message alone: {said}"
    );
    course.solve("ex01-one", 1);
    assert!(
        next(&[])
            .ends_with("larger_number:\nit should be at least 2, and it is 1\n")
    );
    course.solve("ex01-one", 2);
    assert!(next(&[]).starts_with("ex01-one: solved\n\nNext: ex02-two\n"));
    assert!(
        next(&["3"]).starts_with("\nNext: ex03-three\n"),
        "a number says where to begin"
    );
    course.solve("ex02-two", 2);
    course.solve("ex03-three", 5);
    assert!(
        next(&["ex02"])
            .ends_with("ex03-three: solved\n\nAll exercises are solved.\n")
    );

    let wrong = run(course.path(), &["next", "4"]);
    assert!(wrong.stderr.contains("there is no exercise '4'"), "{wrong:?}");
}

#[test]
fn a_compiler_error_is_shown_and_a_backtrace_is_not() {
    let course = SmallCourse::new();
    let next = classroom(course.path(), &["next"]).env("RUST_BACKTRACE", "1");
    let said = next.limit(std::time::Duration::from_secs(600)).output().stdout;
    assert!(!said.contains("stack backtrace"), "{said}");
    assert!(!said.contains("RUST_BACKTRACE"), "{said}");
    std::fs::write(
        course.path().join("exercises/ex01-one/src/solution.rs"),
        "pub const",
    )
    .expect("to write");
    let said = run(course.path(), &["next"]).stdout;
    assert!(said.contains("it does not compile:\nerror: "), "{said}");
}

#[test]
fn list_says_which_exercises_are_solved() {
    let course = SmallCourse::new();
    course.solve("ex01-one", 2);
    let list = || run(course.path(), &["list"]).stdout;
    assert!(
        list().contains("0 of 3 are solved"),
        "nothing was checked yet: {}",
        list()
    );
    run(course.path(), &["next"]);
    let said = list();
    let lines: Vec<Vec<&str>> =
        said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["ex01-one", "solved", "1:", "a", "number"]);
    assert_eq!(lines[1], ["ex02-two", "-", "2:", "a", "number"]);
    assert!(said.contains("1 of 3 are solved"), "{said}");
    course.solve("ex01-one", 3);
    assert!(
        list().contains("0 of 3 are solved"),
        "it has changed since: {}",
        list()
    );
}

#[test]
fn a_checkout_that_lacks_files_is_shown_all_the_same() {
    let course = SmallCourse::new();
    let readme =
        |name: &str| course.path().join(format!("exercises/{name}/README.md"));
    fs::remove_file(readme("ex01-one")).expect("to remove it");
    fs::write(readme("ex02-two"), b"# Exercise 2: caf\xe9\r\n").expect("to write");
    fs::write(course.path().join("exercises/ex04-notes"), "mine")
        .expect("to write");
    let output = run(course.path(), &["list"]);
    assert!(output.status.success(), "{output:?}");
    let lines: Vec<Vec<&str>> = output
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(lines[0], ["ex01-one", "-", "ex01-one"]);
    assert_eq!(lines[1], ["ex02-two", "-", "2:", "caf\u{fffd}"]);
    assert!(output.stdout.contains("0 of 3 are solved"), "a file is no exercise");

    // The book has a page of the first exercise only.
    let mut watch = Watch::start(&course, &["2"]);
    watch.prints("Exercise 2: caf", 1);
    watch.press("h");
    watch.prints("There are no hints: cannot read ", 1);
    watch.press("q");
    assert!(watch.program.wait(std::time::Duration::from_secs(10)).success());
}

/// `classroom watch`, and its keyboard.
struct Watch {
    program: Running,
    keys: UnixStream,
}

impl Watch {
    fn start(course: &SmallCourse, arguments: &[&str]) -> Watch {
        let (keys, theirs) = UnixStream::pair().expect("a pair of sockets");
        let program = classroom(course.path(), &[&["watch"], arguments].concat());
        let program = program.stdin(OwnedFd::from(theirs)).start();
        Watch { program, keys }
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).expect("it reads keys");
    }

    /// Blocks until it has printed this so many times. A build may take a while.
    #[track_caller]
    fn prints(&self, text: &str, times: usize) {
        let printed = || self.program.stdout().matches(text).count() == times;
        let seen = try_eventually(std::time::Duration::from_secs(120), || {
            printed().then_some(())
        });
        assert!(
            seen.is_some(),
            "'{text}' {times} times: {}",
            self.program.describe()
        );
    }
}

#[test]
fn watch_checks_when_the_file_is_saved_and_moves_on_at_a_key() {
    let course = SmallCourse::new();
    let mut watch = Watch::start(&course, &[]);
    watch.prints("small_number:\nit should be at least 1, and it is 0\n", 1);
    watch.prints("[---] 0 of 3\n", 1);
    assert!(
        !watch.program.stdout().contains("larger_number"),
        "one failure at a time"
    );

    watch.press("h");
    watch.prints("Hint 1: where to `begin`\n\nThink of a number.\n", 1);
    watch.press("hh");
    watch.prints("Hint 2: more\n\nTake 2.\n", 1);
    watch.prints("There are no more hints.\n", 1);

    course.solve("ex01-one", 1);
    watch.prints("larger_number:\nit should be at least 2, and it is 1\n", 1);
    course.solve("ex01-one", 2);
    watch.prints("ex01-one: all tests pass.\n[#--] 1 of 3\n", 1);

    // The second is solved already, so the next one is the third.
    course.solve("ex02-two", 2);
    watch.press("n");
    watch.prints("Exercise 3: a number\n[##-] 2 of 3\n", 1);
    watch.press("q");
    let status = watch.program.wait(std::time::Duration::from_secs(10));
    assert!(status.success(), "{}", watch.program.describe());
}

#[test]
fn watch_begins_with_the_exercise_that_is_named() {
    let course = SmallCourse::new();
    let mut watch = Watch::start(&course, &["2"]);
    watch.prints("Exercise 2: a number\n", 1);
    watch.press("r");
    watch.prints("Exercise 2: a number\n", 2);
    watch.press("l");
    watch.prints("0 of 3 are solved", 1);
    // After the last comes the first.
    watch.press("n");
    watch.prints("Exercise 3: a number\n", 1);
    watch.press("n");
    watch.prints("Exercise 1: a number\n", 1);
    // Ctrl-C, as the terminal sends it.
    watch.press("\u{3}");
    assert!(watch.program.wait(std::time::Duration::from_secs(10)).success());
}
