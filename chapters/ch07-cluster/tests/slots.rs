//! Which worker accepts from which listener, and which gets the next connection: as
//! plain data.

#[path = "../../ch06-reload/tests/common/dice.rs"]
mod dice;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use ch04_events::Id;
use ch07_cluster::{Assignment, Change, Slots};
use dice::Dice;

/// Carries out all changes, and returns them.
fn changes(slots: &mut Slots) -> Vec<Change> {
    let mut changes = Vec::new();
    while let Some(change) = slots.change() {
        changes.push(change);
        assert!(changes.len() < 100, "it never ends: {changes:?}");
    }
    changes
}

fn start(slots: &mut Slots, id: u64) -> usize {
    let slot = slots.for_new_worker();
    slots.start(Id(id), slot);
    slot
}

#[test]
fn each_worker_has_a_listener_and_each_listener_a_worker() {
    let mut slots = Slots::new(3);
    let of: Vec<usize> = (0..3).map(|id| start(&mut slots, id)).collect();
    assert_eq!(of, [0, 1, 2]);
    (0..3).for_each(|id| slots.ready(Id(id)));
    assert_eq!(changes(&mut slots), []);
    // Its listener is covered until there is a new worker for it.
    slots.remove(Id(1));
    assert_eq!(changes(&mut slots), [Change::Listen(Id(0), 1)]);
    // Worker 0 has two: the new worker gets one of them.
    let slot = start(&mut slots, 3);
    assert_ne!(slot, 2);
    slots.ready(Id(3));
    assert_eq!(changes(&mut slots), [Change::Release(Id(0), slot)]);
}

#[test]
fn whatever_starts_and_dies_no_listener_is_without_a_worker() {
    for seed in 0..300 {
        let mut dice = Dice::new(seed);
        let count = 1 + dice.roll(5);
        let mut slots = Slots::new(count);
        let mut has: BTreeMap<u64, BTreeSet<usize>> = BTreeMap::new();
        let mut starting: Vec<(u64, usize)> = Vec::new();
        for id in 0..60 {
            match dice.roll(3) {
                0 => {
                    let slot = start(&mut slots, id);
                    starting.push((id, slot));
                }
                1 if !starting.is_empty() => {
                    let (id, slot) = starting.remove(0);
                    slots.ready(Id(id));
                    has.insert(id, BTreeSet::from([slot]));
                }
                _ => {
                    let ids: Vec<u64> = has.keys().copied().collect();
                    if let Some(id) = dice.pick(&ids) {
                        slots.remove(Id(id));
                        has.remove(&id);
                    }
                }
            }
            for change in changes(&mut slots) {
                match change {
                    Change::Listen(Id(id), slot) => {
                        assert!(has.get_mut(&id).expect("it runs").insert(slot));
                    }
                    Change::Release(Id(id), slot) => {
                        assert!(has.get_mut(&id).expect("it runs").remove(&slot));
                    }
                }
            }
            let covered: BTreeSet<usize> =
                has.values().flatten().copied().collect();
            assert!(
                has.is_empty() || covered.len() == count,
                "seed {seed}: {has:?}"
            );
            assert!(
                has.values().all(|slots| !slots.is_empty()),
                "seed {seed}: {has:?}"
            );
        }
    }
}

#[test]
fn connections_go_to_the_workers_in_turn_as_long_as_they_have_room() {
    let now = Instant::now();
    let mut assignment = Assignment::new(1000);
    assert_eq!(assignment.pick(now), None);
    (0..3).for_each(|id| assignment.add(Id(id)));
    let mut pick = |count| -> Vec<u64> {
        (0..count).filter_map(|_| assignment.pick(now)).map(|Id(id)| id).collect()
    };
    assert_eq!(pick(7), [0, 1, 2, 0, 1, 2, 0]);
    assert_eq!(pick(200).len(), 3 * 32 - 7, "a worker has 32 in flight at most");
    assert!(!assignment.has_room(now));
    // It is not that worker's turn. The burst is spread evenly, so it waits.
    assignment.landed(Id(1));
    assert_eq!(assignment.pick(now), None);
    assignment.landed(Id(0));
    assert_eq!(assignment.pick(now), Some(Id(0)));
    assert_eq!(assignment.pick(now), Some(Id(1)));
    assignment.remove(Id(1));
    assignment.landed(Id(1));
    assert_eq!(assignment.pick(now), None, "a worker that has gone gets none");
}

#[test]
fn a_worker_that_hangs_is_left_out() {
    let now = Instant::now();
    let mut assignment = Assignment::new(1000);
    (0..2).for_each(|id| assignment.add(Id(id)));
    for _ in 0..32 {
        assert_eq!(assignment.pick(now), Some(Id(0)));
        assert_eq!(assignment.pick(now), Some(Id(1)));
        assignment.landed(Id(1));
    }
    assert_eq!(assignment.pick(now), None);
    let later = assignment.deadline(now).expect("it does not wait for ever");
    assert!(later <= now + Duration::from_millis(100));
    assert_eq!(assignment.pick(later), Some(Id(1)));
    assert_eq!(assignment.pick(later), Some(Id(1)));
    assignment.landed(Id(0));
    assert_eq!(assignment.pick(later), Some(Id(0)));
}

#[test]
fn few_descriptors_mean_few_connections_in_flight_but_always_one() {
    let now = Instant::now();
    let mut assignment = Assignment::new(0);
    assignment.add(Id(0));
    assert_eq!(assignment.pick(now), Some(Id(0)));
    assert_eq!(assignment.pick(now), None);
    assignment.landed(Id(0));
    assert!(assignment.has_room(now));
}

#[test]
fn a_worker_that_goes_does_not_disturb_the_turn_of_the_others() {
    let now = Instant::now();
    let mut assignment = Assignment::new(1000);
    (0..4).for_each(|id| assignment.add(Id(id)));
    let picked: Vec<_> = (0..3).filter_map(|_| assignment.pick(now)).collect();
    assert_eq!(picked, [Id(0), Id(1), Id(2)]);
    assignment.remove(Id(1));
    let picked: Vec<_> = (0..4).filter_map(|_| assignment.pick(now)).collect();
    assert_eq!(picked, [Id(3), Id(0), Id(2), Id(3)]);
}
