//! Markdown tables.

use std::fmt::Write as _;

use crate::results::{Results, Summary};

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Figure {
    /// Its name in the results.
    pub name: &'static str,
    /// The head of the column, with the unit.
    pub head: &'static str,
    /// Digits behind the point.
    pub digits: usize,
}

/// A row for each server and a column for each figure: the median, and in brackets
/// the least and the most. A figure that was not measured is a dash.
pub fn table(results: &Results, section: &str, figures: &[Figure]) -> String {
    let cell = |server: &str, figure: &Figure| {
        let summary = results.summary(section, server, 0, figure.name);
        summary.map_or("–".to_owned(), |it| in_words(it, figure.digits))
    };
    rows(&results.servers(section), figures, cell)
}

/// The medians divided by those of the server `base`. `None` if that one was not
/// measured, or is alone.
pub fn ratios(
    results: &Results,
    section: &str,
    figures: &[Figure],
    base: &str,
) -> Option<String> {
    let mut servers = results.servers(section);
    servers.retain(|&it| it != base);
    if servers.is_empty() || !results.servers(section).contains(&base) {
        return None;
    }
    let median = |server: &str, figure: &Figure| {
        let summary = results.summary(section, server, 0, figure.name);
        summary.map(|it| it.median)
    };
    let cell = |server: &str, figure: &Figure| match (
        median(server, figure),
        median(base, figure),
    ) {
        (Some(one), Some(other)) if other > 0.0 => format!("{:.2}", one / other),
        _ => "–".to_owned(),
    };
    Some(rows(&servers, figures, cell))
}

fn rows(
    servers: &[&str],
    figures: &[Figure],
    cell: impl Fn(&str, &Figure) -> String,
) -> String {
    let mut text = "|".to_owned();
    for head in [""].into_iter().chain(figures.iter().map(|it| it.head)) {
        let _ = write!(text, " {head} |");
    }
    text += "\n|---|";
    text += &"---:|".repeat(figures.len());
    for server in servers {
        let _ = write!(text, "\n| {server} |");
        for figure in figures {
            let _ = write!(text, " {} |", cell(server, figure));
        }
    }
    text + "\n"
}

fn in_words(summary: Summary, digits: usize) -> String {
    let Summary { median, least, most } = summary;
    let [median, least, most] = [median, least, most].map(|it| number(it, digits));
    if least == most { median } else { format!("{median} ({least}–{most})") }
}

/// A number with a comma after each three digits from the right.
pub fn number(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$}");
    let whole = text.find('.').unwrap_or(text.len());
    let mut out = String::new();
    for (place, character) in text.char_indices() {
        let left = whole.saturating_sub(place);
        if place > 0 && left > 0 && left % 3 == 0 && !out.ends_with('-') {
            out.push(',');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::Sample;

    fn results(values: &[(&'static str, f64)]) -> Results {
        let sample = |&(server, value): &(&str, f64)| Sample {
            section: "s".to_owned(),
            server: server.to_owned(),
            size: 0,
            round: 0,
            figure: "f".to_owned(),
            value,
        };
        let samples = values.iter().map(sample).collect();
        Results { samples, ..Results::default() }
    }

    const FIGURES: [Figure; 1] = [Figure { name: "f", head: "per s", digits: 0 }];

    #[test]
    fn numbers_can_be_read() {
        assert_eq!(number(7.0, 0), "7");
        assert_eq!(number(999.0, 0), "999");
        assert_eq!(number(52_345.6, 0), "52,346");
        assert_eq!(number(1_234_567.25, 2), "1,234,567.25");
        assert_eq!(number(-100.0, 0), "-100");
        assert_eq!(number(0.125, 2), "0.12");
    }

    #[test]
    fn a_table_has_medians_and_extremes() {
        let results = results(&[
            ("Node", 5.0),
            ("nginx", 1e3),
            ("nginx", 3e3),
            ("nginx", 2e3),
        ]);
        let text = table(&results, "s", &FIGURES);
        assert_eq!(
            text,
            "|  | per s |\n|---|---:|\n| nginx | 2,000 (1,000–3,000) |\n| Node | 5 |\n"
        );
    }

    #[test]
    fn ratios_are_those_of_the_medians() {
        let all = results(&[("shared", 30.0), ("nginx", 20.0)]);
        let text = ratios(&all, "s", &FIGURES, "nginx").expect("both are there");
        assert!(text.ends_with("| shared | 1.50 |\n"), "{text}");
        assert_eq!(ratios(&all, "s", &FIGURES, "Node"), None);
        assert_eq!(
            ratios(&results(&[("nginx", 1.0)]), "s", &FIGURES, "nginx"),
            None
        );
    }
}
