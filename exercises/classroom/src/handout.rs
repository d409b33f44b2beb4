//! A copy of the course for a class.

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use cli::say;

use crate::course::{Course, Exercise};
use crate::files::{make_folder, read, run, write};

/// What a handout does not have: the solutions, and what checks the project itself.
const HELD_BACK: [&str; 4] = [".ci", ".github", "book/src/solutions", "solutions"];

/// Marks the commit of the handout, so that a student can restore a stub from it.
const TAG: &str = "handout";

/// Writes a handout to `folder`: a git repository with one commit.
///
/// Its files come from the last commit of `course`, and not from the working tree: a teacher
/// solves the exercises there. If a solution was committed, the stub is taken from an
/// older commit.
pub fn make(course: &Course, folder: &Path) -> anyhow::Result<ExitCode> {
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty", folder.display());
    }
    if git(course, &["rev-parse", "HEAD"]).is_err() {
        bail!(
            "{} is not a git checkout, or git is not installed. A handout is made from a \
             commit, because your working tree may have solutions in it: clone the project",
            course.root.display()
        );
    }
    make_folder(folder)?;
    extract(course, folder)?;
    let handout = Course { root: folder.to_owned() };
    for exercise in handout.exercises()? {
        write(&handout.solution(&exercise), stub(course, &exercise)?)?;
    }
    handout.drop_solved_packages()?;
    forget_what_is_held_back(folder)?;
    // The lock file still names the packages that are held back.
    let mut cargo = Command::new("cargo");
    cargo.args(["update", "--workspace", "--quiet", "--offline"]);
    run(cargo.current_dir(folder))?;
    commit(&handout)?;
    say(format_args!("the handout is in {}", folder.display()));
    let changed = git(course, &["status", "--porcelain", "--untracked-files=no"])?;
    if !changed.is_empty() {
        say("what you have changed and not committed is not in it");
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the files of the last commit to `folder`, except what is held back.
fn extract(course: &Course, folder: &Path) -> anyhow::Result<()> {
    let but = HELD_BACK.map(|path| format!(":(top,exclude){path}"));
    let mut git = git_in(&course.root);
    git.args(["archive", "HEAD", "--"]).args(but);
    let mut git = git.stdout(Stdio::piped()).spawn().context("cannot run git")?;
    let archive = git.stdout.take().expect("it is piped");
    run(Command::new("tar").arg("-x").stdin(archive).current_dir(folder))?;
    if !git.wait()?.success() {
        bail!("git archive failed in {}", course.root.display());
    }
    Ok(())
}

/// The stub of an exercise.
///
/// Who solves an exercise changes its solution.rs only; who writes one changes its tests or
/// its README too. So the stub is at the commit that changed the exercise's other files
/// last, or later. Of these versions, the newest of those with the most `todo!()` is the
/// stub: one with fewer has a solution.
fn stub(course: &Course, exercise: &Exercise) -> anyhow::Result<Vec<u8>> {
    let folder = format!("exercises/{}", exercise.name);
    let path = format!("{folder}/{}", Exercise::SOLUTION);
    let commits = |arguments: &[&str]| -> anyhow::Result<Vec<String>> {
        let commits = git(course, &[&["log", "--format=%H"], arguments].concat())?;
        Ok(String::from_utf8(commits)?.lines().map(str::to_owned).collect())
    };
    let written = commits(&["-1", "--", &folder, &format!(":(exclude){path}")])?;
    let since = format!("{}..HEAD", written.concat());
    let mut stub = Vec::new();
    let gaps =
        |text: &[u8]| String::from_utf8_lossy(text).matches("todo!(").count();
    for commit in commits(&[&since, "--", &path])?.iter().chain(&written) {
        let version = git(course, &["show", &format!("{commit}:{path}")])?;
        if gaps(&version) > gaps(&stub) {
            stub = version;
        }
    }
    if gaps(&stub) == 0 {
        bail!("{path} has no todo!() in git: there is no stub to hand out");
    }
    Ok(stub)
}

/// Removes the lines that mention what is held back from the README and from the book's
/// table of contents.
fn forget_what_is_held_back(folder: &Path) -> anyhow::Result<()> {
    let mentions = ["(solutions/", "# Solutions", "| `solutions`", ".github/"];
    for name in ["book/src/SUMMARY.md", "README.md"] {
        let path = folder.join(name);
        let text = read(&path)?;
        let kept = text
            .lines()
            .filter(|line| !mentions.iter().any(|it| line.contains(it)));
        write(&path, kept.collect::<Vec<_>>().join("\n") + "\n")?;
    }
    Ok(())
}

fn commit(handout: &Course) -> anyhow::Result<()> {
    git(handout, &["init", "--quiet", "--template="])?;
    // What a teacher's own list of ignored files names, belongs to it too.
    git(handout, &["add", "--all", "--force"])?;
    let who = ["-c", "user.name=handout", "-c", "user.email=handout@localhost"];
    let what = ["commit", "--quiet", "--message", "The course, as handed out"];
    git(handout, &[who, what].concat())?;
    git(handout, &["tag", TAG]).map(drop)
}

/// What git prints in the folder of a course.
fn git(course: &Course, arguments: &[&str]) -> anyhow::Result<Vec<u8>> {
    run(git_in(&course.root).args(arguments))
}

/// git, without those settings of the teacher that would change the handout or keep git from
/// making its commit: hooks, signatures, other line ends.
fn git_in(folder: &Path) -> Command {
    let mut git = Command::new("git");
    git.current_dir(folder);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        git.env_remove(variable);
    }
    for setting in [
        "core.hooksPath=/dev/null",
        "core.autocrlf=false",
        "commit.gpgSign=false",
        "tag.gpgSign=false",
        "tag.forceSignAnnotated=false",
    ] {
        git.args(["-c", setting]);
    }
    git
}
