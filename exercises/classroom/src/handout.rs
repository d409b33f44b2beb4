//! A copy of the course for a class, and a fresh start for one exercise.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, bail};
use cli::say;

use crate::course::{Course, Exercise};
use crate::grade::copy;
use crate::read;

/// The mark of the handout's first commit: what the stubs were.
const TAG: &str = "handout";

/// Makes a copy without the solutions, their pages and what checks the project itself; a repository
/// of its own, so that a student can go back.
pub fn make(course: &Course, folder: &Path) -> anyhow::Result<ExitCode> {
    if folder.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
        bail!("{} is not empty", folder.display());
    }
    let held_back = ["solutions/", "book/src/solutions/", ".ci/"];
    for name in tracked(course)? {
        if held_back.iter().any(|folder| name.starts_with(folder)) {
            continue;
        }
        let (from, to) = (course.root.join(&name), folder.join(&name));
        match fs::read_link(&from) {
            // The course has made it, and it leads to another place in the course.
            Ok(target) => {
                fs::create_dir_all(to.parent().unwrap_or(folder))?;
                symlink(target, to)?;
            }
            Err(_) => copy(&from, &to)?,
        }
    }
    without_solutions(folder)?;
    without_mention_of_solutions(folder)?;
    // The lock file still names what has gone.
    run(folder, "cargo", &["update", "--workspace", "--quiet", "--offline"])?;
    git(folder, &["init", "--quiet"])?;
    git(folder, &["add", "--all"])?;
    let who = ["-c", "user.name=handout", "-c", "user.email=handout@localhost"];
    git(
        folder,
        &[
            &who[..],
            &["commit", "--quiet", "--message", "The course, as handed out"],
        ]
        .concat(),
    )?;
    git(folder, &["tag", TAG])?;
    say(format_args!("the handout is in {}", folder.display()));
    Ok(ExitCode::SUCCESS)
}

/// Takes the stub back from git, as it was handed out. The answer so far is kept.
pub fn reset(course: &Course, word: &str) -> anyhow::Result<ExitCode> {
    let exercise = course.exercise(word)?;
    let folder = format!("exercises/{}", exercise.name);
    let path = format!("{folder}/{}", Exercise::ANSWER);
    let stub = asked(course, &["show", &format!("{TAG}:{path}")]).or_else(|| {
        // No tag, because the handout was copied. But a student changes nothing except the answer: so
        // whoever was the last to change another file of the exercise has handed out both.
        let but = format!(":!{path}");
        let commit =
            asked(course, &["log", "-1", "--format=%H", "--", &folder, &but])?;
        let commit = String::from_utf8(commit).ok()?;
        asked(course, &["show", &format!("{}:{path}", commit.trim())])
    });
    let Some(stub) = stub else {
        bail!(
            "git does not know {path}: is this a checkout, and is git installed?"
        );
    };
    let answer = course.root.join(&path);
    let aside = answer.with_extension("rs.before-reset");
    if answer.exists() && fs::read(&answer)? != stub {
        fs::copy(&answer, &aside)
            .with_context(|| format!("cannot write {}", aside.display()))?;
        say(format_args!("your answer is kept in {}", aside.display()));
    }
    fs::write(&answer, stub).with_context(|| format!("cannot write {path}"))?;
    say(format_args!("{path} is as it was handed out"));
    Ok(ExitCode::SUCCESS)
}

/// The files that belong to the project.
fn tracked(course: &Course) -> anyhow::Result<Vec<String>> {
    let Some(listed) = asked(course, &["ls-files", "-z"]) else {
        bail!(
            "{} is no git checkout, or git is not installed",
            course.root.display()
        );
    };
    let names =
        String::from_utf8(listed).context("a file has a name that is not UTF-8")?;
    Ok(names.split_terminator('\0').map(str::to_owned).collect())
}

/// What git prints; nothing, if it fails.
fn asked(course: &Course, arguments: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(&course.root)
        .output()
        .ok()?;
    output.status.success().then_some(output.stdout)
}

/// Takes the solutions out of the list of the workspace's members.
pub fn without_solutions(root: &Path) -> anyhow::Result<()> {
    let manifest = root.join("Cargo.toml");
    fs::write(&manifest, read(&manifest)?.replace(", \"solutions/*\"", ""))?;
    Ok(())
}

/// Takes the lines that lead to a solution out of the book's table of contents and the README.
fn without_mention_of_solutions(root: &Path) -> anyhow::Result<()> {
    let leads_there = |line: &&str| {
        ["(solutions/", "# Solutions", "| `solutions`"]
            .iter()
            .any(|word| line.contains(word))
    };
    for name in ["book/src/SUMMARY.md", "README.md"] {
        let (file, text) = (root.join(name), read(&root.join(name))?);
        let kept: Vec<&str> =
            text.lines().filter(|line| !leads_there(line)).collect();
        fs::write(&file, kept.join("\n") + "\n")?;
    }
    Ok(())
}

fn git(folder: &Path, arguments: &[&str]) -> anyhow::Result<()> {
    run(folder, "git", arguments)
}

fn run(folder: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).stdout(Stdio::null());
    if !command.status().with_context(|| format!("cannot run {program}"))?.success()
    {
        bail!(
            "{program} {} has failed in {}",
            arguments.join(" "),
            folder.display()
        );
    }
    Ok(())
}
