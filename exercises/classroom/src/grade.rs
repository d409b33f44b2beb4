//! Grades: judges what students hand in with our own tests, manifests and given code.
//!
//! First everything is built, then everything is run: what a student's program does while it runs can
//! change nothing that is built yet, neither its own nor another's.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use cli::say;
use nix::libc;

use crate::course::{Course, Exercise};
use crate::handout::without_solutions;
use crate::judge::{Built, Verdict, build};
use crate::report;

/// The longest answer that is looked at, in bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// What came of one exercise of one checkout.
#[derive(Debug)]
pub struct Grade {
    /// Which.
    pub exercise: String,
    /// One for each test; or one that says why there are none.
    pub verdicts: Vec<Verdict>,
}

impl Grade {
    /// How many tests the answer passes.
    pub fn passed(&self) -> usize {
        self.verdicts.iter().filter(|it| it.passed).count()
    }

    /// Why it is not solved: what the first test that fails says.
    pub fn reason(&self) -> Option<&str> {
        self.verdicts.iter().find(|it| !it.passed).map(|it| it.reason.as_str())
    }

    fn without_tests(exercise: &Exercise, why: String) -> Grade {
        let verdict = Verdict {
            test: "build".to_owned(),
            passed: false,
            took: Duration::ZERO,
            reason: why,
        };
        Grade { exercise: exercise.name.clone(), verdicts: vec![verdict] }
    }
}

/// Grades these exercises of each checkout, and writes the results to `out`.
pub fn run(
    course: &Course,
    checkouts: &[PathBuf],
    exercises: &[Exercise],
    out: &Path,
) -> anyhow::Result<()> {
    // All of them, before the work begins: a wrong path should not cost an hour.
    let names: Vec<String> =
        checkouts.iter().map(|it| name_of(it)).collect::<Result<_, _>>()?;
    let desk = Desk::set_up(course)?;
    let mut all = Vec::new();
    for (name, checkout) in names.into_iter().zip(checkouts) {
        say(format_args!("building {name}"));
        all.push((name, desk.build_all(checkout, exercises)?));
    }
    for (name, built) in all {
        let grades: Vec<Grade> = built.into_iter().map(Submission::judge).collect();
        let folder = out.join(&name);
        fs::create_dir_all(&folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
        report::write(&folder, &name, &grades)?;
        let solved = grades.iter().filter(|it| it.reason().is_none()).count();
        say(format_args!(
            "{name}: {solved} of {} exercises are solved",
            grades.len()
        ));
    }
    Ok(())
}

/// What a checkout is called in the results: its folder's name.
fn name_of(checkout: &Path) -> anyhow::Result<String> {
    let path = fs::canonicalize(checkout).with_context(|| {
        format!("cannot find the checkout {}", checkout.display())
    })?;
    if !path.join("exercises").is_dir() {
        bail!(
            "{} is no checkout: it has no folder 'exercises'",
            checkout.display()
        );
    }
    Ok(path
        .file_name()
        .map_or("checkout".into(), |name| name.to_string_lossy())
        .into_owned())
}

/// A copy of the course, where answers are put in and built.
struct Desk {
    course: Course,
    target: PathBuf,
    _dir: testkit::TempDir,
}

/// An answer that was built, or the reason why it was not.
struct Submission {
    exercise: Exercise,
    built: Result<Built, String>,
}

impl Desk {
    fn set_up(course: &Course) -> anyhow::Result<Desk> {
        let dir = testkit::temp_dir();
        let root = dir.path().join("course");
        for part in [
            "Cargo.toml",
            "Cargo.lock",
            "chapters",
            "exercises",
            ".cargo",
            "vendor",
        ] {
            copy(&course.root.join(part), &root.join(part))?;
        }
        without_solutions(&root)?;
        let target = dir.path().join("target");
        Ok(Desk { course: Course { root }, target, _dir: dir })
    }

    fn build_all(
        &self,
        checkout: &Path,
        exercises: &[Exercise],
    ) -> anyhow::Result<Vec<Submission>> {
        exercises
            .iter()
            .map(|exercise| self.build(checkout, exercise.clone()))
            .collect()
    }

    /// Puts an answer in the place of the stub, and builds it.
    fn build(
        &self,
        checkout: &Path,
        exercise: Exercise,
    ) -> anyhow::Result<Submission> {
        let theirs =
            checkout.join("exercises").join(&exercise.name).join(Exercise::ANSWER);
        let built = match read_answer(&theirs) {
            Ok(answer) => {
                fs::write(
                    self.course.folder(&exercise).join(Exercise::ANSWER),
                    answer,
                )?;
                build(&self.course.root, &exercise.name, Some(&self.target))
            }
            Err(why) => Err(why),
        };
        let place = self.target.join("built").join(unique()).join("debug");
        let built = match built {
            Ok(built) => Ok(built.move_to(&place, &exercise.name)?),
            Err(why) => Err(why),
        };
        Ok(Submission { exercise, built })
    }
}

impl Submission {
    fn judge(self) -> Grade {
        match self.built {
            Ok(built) => Grade {
                exercise: self.exercise.name,
                verdicts: built.judge().collect(),
            },
            Err(why) => Grade::without_tests(&self.exercise, why),
        }
    }
}

/// A student's file: a real one, of a sensible length, and no link to somebody else's.
fn read_answer(path: &Path) -> Result<String, String> {
    let what = Exercise::ANSWER;
    // No link; and a FIFO must not keep us waiting.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file =
        match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(format!("there is no {what}"));
            }
            Err(error) => return Err(format!("{what} cannot be read: {error}")),
        };
    if !file.metadata().is_ok_and(|it| it.is_file()) {
        return Err(format!("{what} is no file"));
    }
    let mut text = String::new();
    match file.take(MAX_ANSWER + 1).read_to_string(&mut text) {
        Ok(read) if read as u64 > MAX_ANSWER => {
            Err(format!("{what} is longer than 1 MiB"))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(format!("{what} cannot be read: {error}")),
    }
}

/// A name that no other answer has.
fn unique() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed).to_string()
}

/// Copies a file or a folder with all that is in it; nothing, where there is none. Links are not
/// followed, and left out.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let Ok(kind) = fs::symlink_metadata(from) else { return Ok(()) };
    if kind.is_dir() {
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
    } else if kind.is_file() {
        if let Some(folder) = to.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::copy(from, to)
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}
