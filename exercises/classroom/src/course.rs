//! Where the exercises are, and how their packages are called.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};

/// A checkout of this project.
#[derive(Debug, Clone)]
pub struct Course {
    /// Its top folder.
    pub root: PathBuf,
}

/// One exercise: `exercises/ex03-framing`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exercise {
    /// Its package and its folder: `ex03-framing`.
    pub name: String,
}

impl Course {
    /// The checkout that the current folder is in.
    pub fn here() -> anyhow::Result<Course> {
        let here = std::env::current_dir().context("cannot tell where we are")?;
        let is_top = |folder: &&Path| {
            folder.join("exercises/classroom/Cargo.toml").is_file()
        };
        match here.ancestors().find(is_top) {
            Some(top) => Ok(Course { root: top.to_owned() }),
            None => bail!(
                "there are no exercises above {}: go to your checkout",
                here.display()
            ),
        }
    }

    /// All exercises, in their order.
    pub fn exercises(&self) -> anyhow::Result<Vec<Exercise>> {
        let folder = self.root.join("exercises");
        let entries = fs::read_dir(&folder)
            .with_context(|| format!("cannot read {folder:?}"))?;
        let names =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let named = names.filter(|name| {
            let number = name.strip_prefix("ex");
            number.is_some_and(|number| {
                number.starts_with(|it: char| it.is_ascii_digit())
            })
        });
        let mut exercises: Vec<Exercise> =
            named.map(|name| Exercise { name }).collect();
        exercises.sort();
        Ok(exercises)
    }

    /// The exercise that somebody calls `word`: `ex03-framing`, `ex03`, `03` or `3`.
    pub fn exercise(&self, word: &str) -> anyhow::Result<Exercise> {
        let digits = word.strip_prefix("ex").unwrap_or(word);
        let number = digits.parse::<u32>().map(|number| format!("ex{number:02}-"));
        let exercises = self.exercises()?;
        let found = exercises.into_iter().find(|it| {
            it.name == word
                || number.as_ref().is_ok_and(|number| it.name.starts_with(number))
        });
        found.ok_or_else(|| {
            anyhow!("there is no exercise '{word}': see the folder exercises")
        })
    }

    /// The folder of an exercise.
    pub fn folder(&self, exercise: &Exercise) -> PathBuf {
        self.root.join("exercises").join(&exercise.name)
    }
}

impl Exercise {
    /// What a student hands in, as seen from the exercise's folder.
    pub const ANSWER: &str = "src/solution.rs";

    /// The package that solves it: `sol03-framing`.
    pub fn solution(&self) -> String {
        self.name.replacen("ex", "sol", 1)
    }
}
