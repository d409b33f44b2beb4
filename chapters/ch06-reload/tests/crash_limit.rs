//! Pauses and giving up. No process, and a clock that the test moves.

use std::time::{Duration, Instant};

use ch06_reload::CrashLimit;

const MINUTE: Duration = Duration::from_secs(60);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

#[test]
fn without_a_crash_there_is_no_pause() {
    let now = Instant::now();
    let mut limit = CrashLimit::new(10, MINUTE);
    assert!(!limit.is_paused(now));
    assert_eq!(limit.deadline(now), None);
    assert!(!limit.is_reached(now));
}

#[test]
fn pauses_double_from_100_ms_to_5_s_and_stay_there() {
    let mut now = Instant::now();
    let mut limit = CrashLimit::new(100, MINUTE);
    for pause in [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000] {
        assert_eq!(limit.crashed(now), Some(ms(pause)));
        assert_eq!(limit.deadline(now), Some(now + ms(pause)));
        now += ms(pause - 1);
        assert!(limit.is_paused(now), "1 ms too early");
        now += ms(1);
        assert!(!limit.is_paused(now), "after {pause} ms");
        assert_eq!(limit.deadline(now), None);
    }
}

#[test]
fn workers_that_crash_together_are_one_crash() {
    let now = Instant::now();
    let mut limit = CrashLimit::new(2, MINUTE);
    assert_eq!(limit.crashed(now), Some(ms(100)));
    for later in [0, 0, 50, 99] {
        assert_eq!(limit.crashed(now + ms(later)), None);
    }
    assert!(!limit.is_reached(now + ms(99)));
    assert_eq!(limit.crashed(now + ms(100)), Some(ms(200)), "the next one");
    assert!(limit.is_reached(now + ms(100)));
}

#[test]
fn after_10_s_without_a_crash_the_pauses_begin_anew() {
    for (quiet, pause) in [(9_999, 400), (10_000, 100)] {
        let now = Instant::now();
        let mut limit = CrashLimit::new(10, MINUTE);
        limit.crashed(now);
        let last = now + ms(100);
        limit.crashed(last);
        assert_eq!(limit.crashed(last + ms(quiet)), Some(ms(pause)), "{quiet} ms");
    }
}

#[test]
fn only_the_crashes_of_the_last_minute_count() {
    let began = Instant::now();
    let mut limit = CrashLimit::new(3, MINUTE);
    for second in [0, 30, 59] {
        assert!(!limit.is_reached(began + ms(second * 1_000)));
        limit.crashed(began + ms(second * 1_000));
    }
    assert!(limit.is_reached(began + ms(59_999)));
    assert!(!limit.is_reached(began + ms(60_000)), "the first is a minute ago");
    limit.crashed(began + ms(89_999));
    assert!(limit.is_reached(began + ms(89_999)));
    assert!(!limit.is_reached(began + ms(90_000)), "the second is a minute ago");
    assert!(!limit.is_reached(began + ms(600_000)));
}

/// The numbers of the master: a program that always crashes at once gets its tenth
/// try. So the pauses must not be longer than the time in which crashes are counted.
#[test]
fn a_program_that_always_crashes_is_given_up_after_22_s() {
    let began = Instant::now();
    let mut now = began;
    let mut limit = CrashLimit::new(10, MINUTE);
    let mut crashes = 0;
    while !limit.is_reached(now) {
        now = limit.deadline(now).unwrap_or(now);
        limit.crashed(now).expect("the pause is over");
        crashes += 1;
    }
    assert_eq!(crashes, 10);
    assert_eq!((now - began).as_millis(), 21_300);
}

/// A worker that crashes 6 s after its start, but without the short life that makes it
/// a crash, is not counted by the master. One that starts slowly and crashes is.
#[test]
fn a_program_that_crashes_every_6_s_is_given_up_too() {
    let began = Instant::now();
    let mut limit = CrashLimit::new(10, MINUTE);
    for number in 0..10 {
        let now = began + ms(number * 6_000);
        assert!(!limit.is_reached(now));
        assert!(limit.crashed(now).is_some());
    }
    assert!(limit.is_reached(began + ms(54_000)));
}
