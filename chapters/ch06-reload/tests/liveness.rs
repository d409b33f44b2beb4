//! A worker that hangs is found, one that is only busy is not. No process, and a clock
//! that the test moves.

use std::time::{Duration, Instant};

use ch04_events::Id;
use ch06_reload::Liveness;

const LIMIT: u64 = 8_000;

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// What watches, and its time.
struct Watch {
    liveness: Liveness,
    now: Instant,
}

impl Watch {
    /// Worker 0 has given a sign just now.
    fn new() -> Watch {
        let now = Instant::now();
        let mut watch = Watch { liveness: Liveness::new(now, ms(LIMIT)), now };
        watch.alive(0);
        watch
    }

    fn alive(&mut self, id: u64) {
        self.liveness.alive(self.now, Id(id));
    }

    /// Time passes, and the master wakes up at each deadline. Returns the workers
    /// that are overdue.
    fn after(&mut self, milliseconds: u64) -> Vec<Id> {
        let until = self.now + ms(milliseconds);
        let mut overdue = Vec::new();
        while self.now < until {
            let deadline = self.liveness.deadline();
            assert!(deadline.is_none_or(|at| at > self.now), "it is in the future");
            self.now = deadline.map_or(until, |at| at.min(until));
            overdue.extend(self.liveness.overdue(self.now));
        }
        overdue
    }

    /// Time passes, and the master does not run.
    fn stopped(&mut self, milliseconds: u64) -> Vec<Id> {
        self.now += ms(milliseconds);
        self.liveness.overdue(self.now)
    }
}

#[test]
fn a_worker_that_is_silent_for_the_limit_is_overdue_once() {
    let mut watch = Watch::new();
    assert_eq!(watch.after(LIMIT - 1), []);
    assert_eq!(watch.after(1), [Id(0)]);
    assert_eq!(watch.liveness.deadline(), None, "nothing is watched any more");
    assert_eq!(watch.after(10 * LIMIT), []);
}

#[test]
fn only_the_worker_that_is_silent_is_overdue() {
    let mut watch = Watch::new();
    for _ in 0..LIMIT / 1_000 - 1 {
        assert_eq!(watch.after(1_000), []);
        watch.alive(1);
    }
    assert_eq!(watch.after(1_000), [Id(0)]);
    assert_eq!(watch.after(LIMIT - 1_001), []);
    assert_eq!(watch.after(1), [Id(1)]);
}

// ANCHOR: busy
/// A handler blocks the worker for half of the limit, again and again. In between the
/// worker gives a sign.
#[test]
fn a_worker_that_is_busy_for_half_of_the_limit_is_left_alone() {
    for interval in [1, LIMIT / 8, LIMIT / 2, LIMIT - 1] {
        let mut watch = Watch::new();
        for _ in 0..20 {
            assert_eq!(watch.after(interval), []);
            watch.alive(0);
        }
        assert_eq!(watch.after(LIMIT - 1), []);
        assert_eq!(watch.after(1), [Id(0)], "it is still watched");
    }
}
// ANCHOR_END: busy

/// A sign that is late for half of the limit is still in time.
#[test]
fn signs_are_given_at_an_interval_that_leaves_time_to_be_late() {
    for (limit, interval) in
        [(100, 12), (800, 100), (8_000, 1_000), (3_600_000, 1_000)]
    {
        let found = Liveness::interval(ms(limit));
        assert_eq!(found.as_millis(), interval, "limit {limit} ms");
    }
}

/// Ctrl-Z stops the workers too, and `fg` continues them all.
#[test]
fn if_the_master_itself_was_stopped_the_time_begins_anew() {
    for stopped in [LIMIT / 2 + 1, LIMIT, 100 * LIMIT] {
        let mut watch = Watch::new();
        watch.after(LIMIT / 4);
        assert_eq!(watch.stopped(stopped), [], "stopped for {stopped} ms");
        assert_eq!(watch.after(LIMIT - 1), []);
        assert_eq!(watch.after(1), [Id(0)], "it is still watched");
    }
}

/// A stop that the master does not notice must not cost a worker its life.
#[test]
fn a_stop_for_less_than_half_of_the_limit_is_no_danger() {
    let mut watch = Watch::new();
    let interval = Liveness::interval(ms(LIMIT)).as_millis() as u64;
    assert_eq!(watch.after(interval - 1), [], "the next sign is due");
    assert_eq!(watch.stopped(LIMIT / 2), []);
    assert_eq!(watch.after(interval), []);
    watch.alive(0);
    assert_eq!(watch.after(LIMIT - 1), []);
}

/// The signs that arrived while the master was stopped are read before it decides.
#[test]
fn a_worker_that_hangs_is_found_although_the_master_is_stopped_in_between() {
    let mut watch = Watch::new();
    watch.after(LIMIT - 1);
    assert_eq!(watch.stopped(LIMIT), [], "the time begins anew");
    assert_eq!(watch.after(LIMIT), [Id(0)]);
}

#[test]
fn a_master_that_sleeps_wakes_up_often_enough_to_notice_a_stop() {
    let mut watch = Watch::new();
    assert_eq!(watch.liveness.deadline(), Some(watch.now + ms(LIMIT / 4)));
    watch.after(LIMIT - 1);
    assert_eq!(watch.liveness.deadline(), Some(watch.now + ms(1)), "the limit");
}

#[test]
fn a_program_that_gives_no_sign_is_not_watched() {
    let mut liveness = Liveness::new(Instant::now(), ms(LIMIT));
    assert_eq!(liveness.deadline(), None, "and the master need not wake up");
    assert_eq!(liveness.overdue(Instant::now() + ms(100 * LIMIT)), []);
}

#[test]
fn a_worker_whose_first_sign_comes_late_has_the_whole_limit() {
    let mut watch = Watch::new();
    watch.liveness.forget(Id(0));
    assert_eq!(watch.after(100 * LIMIT), [], "the master slept");
    watch.alive(1);
    assert_eq!(watch.liveness.overdue(watch.now), []);
    assert_eq!(watch.after(LIMIT - 1), []);
    assert_eq!(watch.after(1), [Id(1)]);
}

#[test]
fn a_worker_that_drains_is_forgotten() {
    let mut watch = Watch::new();
    watch.alive(1);
    watch.liveness.forget(Id(0));
    watch.liveness.forget(Id(7));
    assert_eq!(watch.after(LIMIT), [Id(1)]);
}

/// An old worker gives its signs at the interval of its own limit. A reload to a
/// shorter limit must not kill it.
#[test]
fn a_new_limit_is_for_new_workers() {
    for (limit, first) in [(800, Id(1)), (20_000, Id(0))] {
        let mut watch = Watch::new();
        watch.liveness.set_limit(ms(limit));
        watch.alive(0);
        watch.alive(1);
        let (short, long) = (limit.min(LIMIT), limit.max(LIMIT));
        assert_eq!(watch.after(short - 1), []);
        assert_eq!(watch.after(1), [first]);
        assert_eq!(watch.after(long - short - 1), []);
        assert_eq!(watch.after(1).len(), 1);
    }
}
