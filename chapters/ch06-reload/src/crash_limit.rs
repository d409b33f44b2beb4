// ANCHOR: top
//! Notices workers that crash again and again: first a pause, and in the end the
//! server gives up.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};
// ANCHOR_END: top

// ANCHOR: limits
/// A worker that has lived so long since it was ready did not crash at once, even if
/// it has served nothing.
pub const SHORT_LIFE: Duration = Duration::from_secs(1);

/// The pause after the first crash. It doubles each time…
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// …up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// If so much time passes without a crash, the next one is the first one again.
const QUIET_TIME: Duration = Duration::from_secs(10);
// ANCHOR_END: limits

// ANCHOR: fields
/// Counts crashes: workers that exit before they are ready, or soon after, without
/// having served a request.
#[derive(Debug)]
pub struct CrashLimit {
    /// So many crashes…
    most: usize,
    /// …in this time are too many.
    time: Duration,
    crashes: VecDeque<Instant>,
    pause: Duration,
    /// No worker starts before this time.
    pause_until: Option<Instant>,
}
// ANCHOR_END: fields

impl CrashLimit {
    // ANCHOR: new
    /// `most` crashes in `time` are too many.
    pub fn new(most: usize, time: Duration) -> CrashLimit {
        let (crashes, pause) = (VecDeque::new(), Duration::ZERO);
        CrashLimit { most, time, crashes, pause, pause_until: None }
    }

    /// From now on, `most` crashes in `time` are too many.
    pub fn set_limit(&mut self, most: usize, time: Duration) {
        (self.most, self.time) = (most, time);
    }
    // ANCHOR_END: new

    // ANCHOR: crashed
    /// A worker crashed at `now`. Crashes during a pause count as one: the workers
    /// that were started together crash together. Returns the pause that begins.
    pub fn crashed(&mut self, now: Instant) -> Option<Duration> {
        if self.is_paused(now) {
            return None;
        }
        if self.crashes.back().is_none_or(|last| *last + QUIET_TIME <= now) {
            self.pause = Duration::ZERO;
        }
        self.crashes.push_back(now);
        self.pause = (self.pause * 2).clamp(FIRST_PAUSE, LONGEST_PAUSE);
        self.pause_until = Some(now + self.pause);
        Some(self.pause)
    }

    /// A worker exits soon after it was ready, and may have served. The shortest pause
    /// begins, and no crash is counted.
    pub fn pause(&mut self, now: Instant) {
        if !self.is_paused(now) {
            self.pause_until = Some(now + FIRST_PAUSE);
        }
    }
    // ANCHOR_END: crashed

    // ANCHOR: ask
    /// Whether no worker may start now.
    pub fn is_paused(&self, now: Instant) -> bool {
        self.pause_until.is_some_and(|until| now < until)
    }

    /// When the pause is over.
    pub fn deadline(&self, now: Instant) -> Option<Instant> {
        self.pause_until.filter(|until| now < *until)
    }

    /// Whether there were too many crashes.
    pub fn is_reached(&mut self, now: Instant) -> bool {
        while self.crashes.front().is_some_and(|first| *first + self.time <= now) {
            self.crashes.pop_front();
        }
        self.crashes.len() >= self.most
    }
    // ANCHOR_END: ask
}
