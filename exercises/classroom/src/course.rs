//! A checkout of this project, and its exercises.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};

use crate::files::{read, write};

/// A checkout of this project.
#[derive(Debug, Clone)]
pub struct Course {
    /// Its top folder.
    pub root: PathBuf,
}

/// One exercise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exercise {
    /// Its package and its folder in `exercises/`: `ex03-framing`.
    pub name: String,
}

impl Course {
    /// The checkout that contains the working directory.
    pub fn here() -> anyhow::Result<Course> {
        let here =
            std::env::current_dir().context("cannot find the working directory")?;
        let is_top = |folder: &&Path| {
            folder.join("exercises/classroom/Cargo.toml").is_file()
        };
        match here.ancestors().find(is_top) {
            Some(top) => Ok(Course { root: top.to_owned() }),
            None => bail!(
                "{} is not in a checkout of this project: go to yours",
                here.display()
            ),
        }
    }

    /// All exercises, in order.
    pub fn exercises(&self) -> anyhow::Result<Vec<Exercise>> {
        let folder = self.root.join("exercises");
        let entries = fs::read_dir(&folder)
            .with_context(|| format!("cannot read {}", folder.display()))?;
        let folders = entries.flatten().filter(|entry| entry.path().is_dir());
        let names = folders.filter_map(|it| it.file_name().into_string().ok());
        let mut exercises: Vec<Exercise> = names
            .filter(|name| is_exercise(name))
            .map(|name| Exercise { name })
            .collect();
        exercises.sort();
        Ok(exercises)
    }

    /// The exercise that a user calls `word`: `ex03-framing`, `ex03`, `03` or `3`.
    pub fn exercise(&self, word: &str) -> anyhow::Result<Exercise> {
        let digits = word.strip_prefix("ex").unwrap_or(word);
        let number = digits.parse::<u32>().map(|number| format!("ex{number:02}-"));
        let exercises = self.exercises()?;
        let found = exercises.into_iter().find(|it| {
            it.name == word
                || number.as_ref().is_ok_and(|number| it.name.starts_with(number))
        });
        found.ok_or_else(|| {
            anyhow!("there is no exercise '{word}': classroom list shows all")
        })
    }

    /// The folder of an exercise.
    pub fn folder(&self, exercise: &Exercise) -> PathBuf {
        self.root.join("exercises").join(&exercise.name)
    }

    /// The student's file of an exercise.
    pub fn solution(&self, exercise: &Exercise) -> PathBuf {
        self.folder(exercise).join(Exercise::SOLUTION)
    }

    /// Whether this is the project itself, and not a handout.
    pub fn has_solved_packages(&self) -> bool {
        self.root.join("solutions").is_dir()
    }

    /// Removes the solved packages from the workspace's members.
    pub fn drop_solved_packages(&self) -> anyhow::Result<()> {
        let manifest = self.root.join("Cargo.toml");
        write(&manifest, read(&manifest)?.replace(", \"solutions/*\"", ""))
    }

    /// The title of an exercise, from its README: `1: start commands, and wait for each`. If
    /// the README cannot be read, it is the exercise's name: a student's checkout may lack
    /// files.
    pub fn title(&self, exercise: &Exercise) -> String {
        let readme = fs::read(self.folder(exercise).join("README.md"));
        let readme = readme.unwrap_or_default();
        let readme = String::from_utf8_lossy(&readme);
        let title = readme.lines().next().unwrap_or(&exercise.name);
        title.trim_start_matches("# Exercise ").to_owned()
    }

    /// The hints of an exercise, from its page in the book, in the order in which a
    /// student opens them.
    pub fn hints(&self, exercise: &Exercise) -> anyhow::Result<Vec<String>> {
        let page = format!("book/src/exercises/{}.md", exercise.number());
        let page = read(&self.root.join(page))?;
        let folded = page.split("<details><summary>").skip(1);
        let hints = folded.filter_map(|it| it.split("</details>").next());
        let text = |hint: &str| {
            let hint = hint.replace("</summary>", "");
            hint.replace("<code>", "`").replace("</code>", "`").trim().to_owned()
        };
        Ok(hints.map(text).collect())
    }
}

impl Exercise {
    /// Where the student's file is, in the folder of the exercise.
    pub const SOLUTION: &str = "src/solution.rs";

    /// `ex03`.
    pub fn number(&self) -> &str {
        self.name.split('-').next().unwrap_or(&self.name)
    }

    /// The package that solves this exercise: `sol03-framing`.
    pub fn solved_package(&self) -> String {
        self.name.replacen("ex", "sol", 1)
    }
}

/// Whether a folder in `exercises/` has such a name as an exercise: `ex03-framing`.
fn is_exercise(name: &str) -> bool {
    let number = name.strip_prefix("ex");
    number.is_some_and(|it| it.starts_with(|c: char| c.is_ascii_digit()))
}
