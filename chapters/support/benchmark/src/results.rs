//! Measured values, and what a table says of them.

use serde::{Deserialize, Serialize};

use crate::servers::SERVERS;

/// One value, of one server in one round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub section: String,
    pub server: String,
    /// What grows in this section: workers, connections. Otherwise 0.
    pub size: usize,
    pub round: usize,
    pub figure: String,
    pub value: f64,
}

/// All values of a run: `results.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// What was measured, and on what.
    pub machine: String,
    pub samples: Vec<Sample>,
}

/// The values of several rounds in three numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Results {
    /// The values of one figure, in the order of the rounds.
    pub fn values(
        &self,
        section: &str,
        server: &str,
        size: usize,
        figure: &str,
    ) -> Vec<f64> {
        let samples = self.samples.iter().filter(|it| {
            (&*it.section, &*it.server, it.size, &*it.figure)
                == (section, server, size, figure)
        });
        samples.map(|it| it.value).collect()
    }

    /// Median and extremes of one figure. `None` if it was not measured.
    pub fn summary(
        &self,
        section: &str,
        server: &str,
        size: usize,
        figure: &str,
    ) -> Option<Summary> {
        summary(self.values(section, server, size, figure))
    }

    /// The servers of a section, in the order of [`SERVERS`].
    pub fn servers(&self, section: &str) -> Vec<&'static str> {
        let mut names: Vec<&str> = SERVERS.iter().map(|it| it.name()).collect();
        names.retain(|name| {
            self.samples
                .iter()
                .any(|it| it.section == section && it.server == *name)
        });
        names
    }

    /// The sizes of a section, ascending.
    pub fn sizes(&self, section: &str) -> Vec<usize> {
        let samples = self.samples.iter().filter(|it| it.section == section);
        let mut sizes: Vec<usize> = samples.map(|it| it.size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }
}

/// The median of an even number of values is the mean of the middle two.
fn summary(mut values: Vec<f64>) -> Option<Summary> {
    values.sort_by(f64::total_cmp);
    let (least, most) = (*values.first()?, *values.last()?);
    let middle = values.len() / 2;
    let median = match values.len() % 2 {
        0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    };
    Some(Summary { median, least, most })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_in_the_middle() {
        let of = |values: &[f64]| summary(values.to_vec()).map(|it| it.median);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[9.0]), Some(9.0));
        assert_eq!(of(&[100.0, 1.0, 3.0]), Some(3.0));
        assert_eq!(of(&[4.0, 1.0, 3.0, 100.0]), Some(3.5));
        let all = summary(vec![2.0, 9.0, 1.0]).expect("three values");
        assert_eq!((all.least, all.most), (1.0, 9.0));
    }
}
