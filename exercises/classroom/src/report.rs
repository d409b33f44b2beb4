//! Writes what came of a checkout: JUnit, for a classroom service, and JSON, for a script.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use quick_xml::Writer;
use quick_xml::events::{BytesDecl, BytesText, Event};
use serde_json::{Value, json};

use crate::grade::Grade;
use crate::judge::Verdict;

/// Writes `junit.xml` and `summary.json` to `folder`.
pub fn write(
    folder: &Path,
    checkout: &str,
    grades: &[Grade],
) -> anyhow::Result<()> {
    let junit = junit(checkout, grades).context("cannot make the JUnit report")?;
    let summary = serde_json::to_string_pretty(&summary(checkout, grades))?;
    for (name, text) in [("junit.xml", junit), ("summary.json", summary + "\n")] {
        let path = folder.join(name);
        fs::write(&path, text)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// JUnit's XML, as classroom services read it: a suite for each exercise, a case for each test.
fn junit(checkout: &str, grades: &[Grade]) -> io::Result<String> {
    let mut xml = Writer::new_with_indent(Vec::new(), b' ', 2);
    xml.write_event(Event::Decl(BytesDecl::new("1.0", Some("UTF-8"), None)))?;
    let suites =
        xml.create_element("testsuites").with_attribute(("name", checkout));
    suites.write_inner_content(|xml| {
        grades.iter().try_for_each(|grade| suite(xml, grade))
    })?;
    Ok(String::from_utf8(xml.into_inner()).expect("all that was written is UTF-8"))
}

fn suite(xml: &mut Writer<Vec<u8>>, grade: &Grade) -> io::Result<()> {
    let suite = xml.create_element("testsuite").with_attributes([
        ("name", grade.exercise.as_str()),
        ("tests", &grade.verdicts.len().to_string()),
        ("failures", &(grade.verdicts.len() - grade.passed()).to_string()),
    ]);
    suite.write_inner_content(|xml| {
        grade
            .verdicts
            .iter()
            .try_for_each(|verdict| case(xml, &grade.exercise, verdict))
    })?;
    Ok(())
}

fn case(
    xml: &mut Writer<Vec<u8>>,
    exercise: &str,
    verdict: &Verdict,
) -> io::Result<()> {
    let seconds = format!("{:.3}", verdict.took.as_secs_f64());
    let case = xml.create_element("testcase").with_attributes([
        ("name", verdict.test.as_str()),
        ("classname", exercise),
        ("time", &seconds),
    ]);
    if verdict.passed {
        case.write_empty()?;
        return Ok(());
    }
    // What a program has printed may hold characters that XML has no way to write.
    let allowed = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    let reason: String = verdict.reason.chars().filter(allowed).collect();
    let first = reason.lines().next().unwrap_or_default();
    case.write_inner_content(|xml| {
        let failure =
            xml.create_element("failure").with_attribute(("message", first));
        failure.write_text_content(BytesText::new(&reason)).map(drop)
    })?;
    Ok(())
}

fn summary(checkout: &str, grades: &[Grade]) -> Value {
    let rows = grades.iter().map(|grade| {
        let took: Duration = grade.verdicts.iter().map(|it| it.took).sum();
        json!({
            "exercise": grade.exercise,
            "solved": grade.reason().is_none(),
            "passed": grade.passed(),
            "failed": grade.verdicts.len() - grade.passed(),
            "seconds": (took.as_secs_f64() * 1000.0).round() / 1000.0,
            "reason": grade.reason(),
        })
    });
    let solved = grades.iter().filter(|it| it.reason().is_none()).count();
    json!({
        "checkout": checkout,
        "solved": solved,
        "exercises": grades.len(),
        "results": rows.collect::<Vec<_>>(),
    })
}
