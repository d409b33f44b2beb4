//! The result of a load.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// So many losses are shown with their reasons.
const REASONS: usize = 20;

/// The result of a load. Every request is in exactly one of `answered`,
/// `lost_count` and `refused`.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Requests with a complete and right response.
    pub answered: u64,
    /// Why requests were lost: the first 20.
    pub lost: Vec<String>,
    /// Requests without a complete and right response: reset, cut short, wrong, or
    /// none in 15 s.
    pub lost_count: u64,
    /// Requests whose connection was refused: there was no listener.
    pub refused: u64,
    /// Responses, by the process that sent them.
    pub by_pid: HashMap<i32, u64>,
    /// Responses, by the name in them (`normal`, `special`). Only for
    /// [`Kind::Raw`](super::Kind).
    pub by_name: HashMap<String, u64>,
    /// From the start of the first client to the end of the last.
    pub elapsed: Duration,
    /// The longest that an *answered* request took, connecting included.
    pub slowest: Duration,
}

impl Report {
    /// Responses a second.
    pub fn per_second(&self) -> f64 {
        self.answered as f64 / self.elapsed.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// Does nothing if every request was answered.
    ///
    /// # Panics
    /// If a request was lost or refused, with the reasons; or if no request was
    /// made, because then nothing was tested.
    #[track_caller]
    pub fn assert_none_lost(&self) {
        assert!(
            self.lost_count == 0 && self.refused == 0,
            "no request may be lost\n{self}"
        );
        assert!(self.answered > 0, "no request was made\n{self}");
    }

    pub(super) fn answer(&mut self, pid: i32, name: Option<&str>, took: Duration) {
        self.answered += 1;
        *self.by_pid.entry(pid).or_default() += 1;
        if let Some(name) = name {
            // Not `entry`: that would need a new String for each of a million
            // answers.
            match self.by_name.get_mut(name) {
                Some(count) => *count += 1,
                None => drop(self.by_name.insert(name.to_owned(), 1)),
            }
        }
        self.slowest = self.slowest.max(took);
    }

    pub(super) fn lose(&mut self, why: String) {
        self.lost_count += 1;
        if self.lost.len() < REASONS {
            self.lost.push(why);
        }
    }

    pub(super) fn add(&mut self, other: Report) {
        self.answered += other.answered;
        self.lost_count += other.lost_count;
        self.refused += other.refused;
        self.slowest = self.slowest.max(other.slowest);
        let room = REASONS - self.lost.len();
        self.lost.extend(other.lost.into_iter().take(room));
        for (pid, count) in other.by_pid {
            *self.by_pid.entry(pid).or_default() += count;
        }
        for (name, count) in other.by_name {
            *self.by_name.entry(name).or_default() += count;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { answered, lost_count, refused, elapsed, slowest, .. } = self;
        writeln!(f, "{answered} answered, {lost_count} lost, {refused} refused")?;
        write!(
            f,
            "{elapsed:.2?}, {:.0} answers/s, slowest {slowest:.2?}",
            self.per_second()
        )?;
        write!(f, ", from {} processes", self.by_pid.len())?;
        self.lost.iter().try_for_each(|why| write!(f, "\n  lost: {why}"))
    }
}
