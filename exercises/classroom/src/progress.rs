//! Which exercises are solved, kept between two runs: to run all tests takes a minute.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::course::{Course, Exercise};
use crate::files::{make_folder, write};

/// The exercises whose tests have all passed.
#[derive(Debug)]
pub struct Progress {
    course: Course,
    file: PathBuf,
    /// The state of each exercise's files when its tests passed.
    solved: BTreeMap<String, u64>,
}

impl Progress {
    /// Reads what earlier runs have recorded.
    pub fn of(course: &Course) -> Progress {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| course.root.join("target"));
        let file = target.join("classroom.json");
        let recorded = fs::read_to_string(&file).unwrap_or_default();
        let solved = serde_json::from_str(&recorded).unwrap_or_default();
        Progress { course: course.clone(), file, solved }
    }

    /// Whether all tests of this exercise passed, and none of its files has changed since.
    pub fn is_solved(&self, exercise: &Exercise) -> bool {
        let recorded = self.solved.get(&exercise.name);
        recorded.is_some_and(|&state| state == self.state(exercise))
    }

    /// How many of these exercises are solved.
    pub fn count(&self, exercises: &[Exercise]) -> usize {
        exercises.iter().filter(|exercise| self.is_solved(exercise)).count()
    }

    /// Records that all tests of this exercise pass.
    pub fn record(&mut self, exercise: &Exercise) -> anyhow::Result<()> {
        self.solved.insert(exercise.name.clone(), self.state(exercise));
        make_folder(self.file.parent().unwrap_or(Path::new(".")))?;
        write(&self.file, serde_json::to_string(&self.solved)?)
    }

    /// A number that differs if one of the exercise's files differs.
    fn state(&self, exercise: &Exercise) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash_files(&self.course.folder(exercise), &mut hasher);
        hasher.finish()
    }
}

fn hash_files(path: &Path, hasher: &mut DefaultHasher) {
    let Ok(entries) = fs::read_dir(path) else {
        return (path, fs::read(path).ok()).hash(hasher);
    };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().for_each(|path| hash_files(path, hasher));
}
