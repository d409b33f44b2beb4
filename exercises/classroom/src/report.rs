//! From nextest's report of a submission, which is in the format of JUnit, to a summary.

use std::collections::BTreeMap;

use anyhow::Context as _;
use roxmltree::{Document, Node};
use serde_json::{Value, json};

use crate::check::{place_in, without_frame};
use crate::course::{Course, Exercise};
use crate::files::read;

/// The result of one exercise.
#[derive(Debug)]
pub struct Grade {
    exercise: String,
    passed: usize,
    failed: usize,
    /// How long its tests took, one after another.
    seconds: f64,
    /// Why it is not solved; `None` if it is.
    reason: Option<String>,
}

/// The results of these exercises. `not_built` says why an exercise has no program.
pub fn grades(
    course: &Course,
    junit: &str,
    exercises: &[Exercise],
    not_built: &BTreeMap<String, String>,
) -> anyhow::Result<Vec<Grade>> {
    let report = Document::parse(junit).context("nextest's report is not XML")?;
    let grades = exercises.iter().map(|exercise| {
        let name = &exercise.name;
        let suite = format!("{name}::check");
        let mut tests: Vec<Node> = report
            .descendants()
            .filter(|it| it.attribute("classname") == Some(&suite))
            .collect();
        // As in `next`, the reason is the first failing test of the source.
        let source = read(&course.folder(exercise).join("tests/check.rs"))?;
        tests.sort_by_key(|it| {
            place_in(&source, it.attribute("name").unwrap_or(""))
        });
        let messages: Vec<String> = tests.iter().filter_map(failure).collect();
        let seconds = tests.iter().filter_map(|it| it.attribute("time"));
        let none = || tests.is_empty().then(|| "no test ran".to_owned());
        let reason = not_built.get(name).or(messages.first()).cloned();
        Ok(Grade {
            exercise: name.clone(),
            passed: tests.len() - messages.len(),
            failed: messages.len(),
            seconds: seconds.filter_map(|it| it.parse::<f64>().ok()).sum(),
            reason: reason.or_else(none),
        })
    });
    grades.collect()
}

/// What a test says, if it failed.
fn failure(test: &Node) -> Option<String> {
    let failure = test.children().find(|it| it.has_tag_name("failure"))?;
    // A test that was ended has no message, but a type: "test timeout".
    let text = failure.text().or(failure.attribute("type"));
    Some(without_frame(text.unwrap_or_default()))
}

/// How many exercises are solved.
pub fn solved(grades: &[Grade]) -> usize {
    grades.iter().filter(|it| it.reason.is_none()).count()
}

/// The summary of a submission.
pub fn summary(name: &str, grades: &[Grade]) -> Value {
    let results = grades.iter().map(|grade| {
        json!({
            "exercise": grade.exercise,
            "solved": grade.reason.is_none(),
            "passed": grade.passed,
            "failed": grade.failed,
            "seconds": (grade.seconds * 1000.0).round() / 1000.0,
            "reason": grade.reason,
        })
    });
    json!({
        "submission": name,
        "solved": solved(grades),
        "exercises": grades.len(),
        "results": results.collect::<Vec<_>>(),
    })
}
