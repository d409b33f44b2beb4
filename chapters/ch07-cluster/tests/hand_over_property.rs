//! The hand-over as plain data: a giver and two takers, their channels, clients and
//! deaths, in any order. At every moment at most one worker serves a connection, and
//! at the end exactly one, unless the worker that had taken it has died.

#[path = "../../ch06-reload/tests/common/dice.rs"]
mod dice;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use ch07_cluster::{Giver, Taker};
use dice::Dice;

const SEEDS: u64 = 3000;

/// What the giver sends.
enum Down {
    Offer(u64, usize),
    Take(u64),
    Drop(u64),
}

/// What a taker sends; its channel acknowledges each offer.
#[derive(Clone, Copy)]
enum Up {
    Room(u64),
    Acked,
    Taken(u64, u64),
    Dropped(u64),
}

struct Other {
    down: VecDeque<Down>,
    up: VecDeque<Up>,
    taker: Taker<usize>,
    serves: BTreeSet<usize>,
    cap: u64,
    is_dead: bool,
    /// The giver has read the end of its channel.
    is_closed: bool,
}

impl Other {
    fn free(&self) -> u64 {
        self.cap.saturating_sub(self.serves.len() as u64)
    }
}

struct World {
    dice: Dice,
    giver: Giver<usize>,
    /// The connections that the giver serves; true: busy with a request.
    serves: BTreeMap<usize, bool>,
    others: Vec<Other>,
    died_with: BTreeSet<usize>,
}

impl World {
    fn new(seed: u64) -> World {
        let mut dice = Dice::new(seed);
        let mut giver = Giver::default();
        let count = 1 + dice.roll(8);
        let serves = (0..count).map(|it| (it, false)).collect();
        let others = (0..2).map(|index| {
            giver.add_taker(index);
            let mut taker = Taker::default();
            let cap = dice.roll(6) as u64;
            let room = taker.add_giver(0, cap);
            Other {
                down: VecDeque::new(),
                up: VecDeque::from([Up::Room(room)]),
                taker,
                serves: BTreeSet::new(),
                cap,
                is_dead: false,
                is_closed: false,
            }
        });
        let others = others.collect();
        World { dice, giver, serves, others, died_with: BTreeSet::new() }
    }

    fn offer(&mut self) {
        let offered: Vec<usize> = self.giver.offered().collect();
        let idle = self
            .serves
            .iter()
            .filter(|(it, busy)| !**busy && !offered.contains(it));
        let idle: Vec<usize> = idle.map(|(&it, _)| it).collect();
        if let (Some(taker), Some(it)) = (self.giver.taker(), self.dice.pick(&idle))
        {
            let number = self.giver.offer(taker, it);
            self.others[taker].down.push_back(Down::Offer(number, it));
        }
    }

    /// A taker reads one message.
    fn down(&mut self, index: usize) {
        let other = &mut self.others[index];
        if other.is_dead {
            return;
        }
        match other.down.pop_front() {
            Some(Down::Offer(number, it)) => {
                other.up.push_back(Up::Acked);
                other.taker.on_offer(0, number, it);
            }
            Some(Down::Take(number)) => {
                let it = other.taker.remove(0, number).expect("it was offered");
                let free = other.free().saturating_sub(1);
                let room = other.taker.more_room(0, free);
                other.up.push_back(Up::Taken(number, room));
                other.serves.insert(it);
            }
            Some(Down::Drop(number)) => {
                other.taker.remove(0, number).expect("it was offered");
                let room = other.taker.more_room(0, other.free());
                other.up.push_back(Up::Dropped(room));
            }
            None => {}
        }
    }

    /// The giver reads one message, or the end of a channel.
    fn up(&mut self, index: usize) {
        let load = self.others[index].serves.len() as u64;
        match self.others[index].up.pop_front() {
            Some(Up::Room(room)) => self.giver.on_room(index, room, load),
            Some(Up::Acked) => {
                let Some((number, it)) = self.giver.on_acked(index) else { return };
                let idle = it.filter(|it| self.serves.get(it) == Some(&false));
                let message = match idle {
                    Some(it) => {
                        self.serves.remove(&it);
                        self.giver.leave(number, it);
                        Down::Take(number)
                    }
                    None => {
                        self.giver.forget(number);
                        Down::Drop(number)
                    }
                };
                self.others[index].down.push_back(message);
            }
            Some(Up::Taken(number, room)) => {
                self.giver.on_taken(number).expect("it was leaving");
                self.giver.on_more_room(index, room, load);
            }
            Some(Up::Dropped(room)) => self.giver.on_more_room(index, room, load),
            None if self.others[index].is_dead && !self.others[index].is_closed => {
                self.others[index].is_closed = true;
                for it in self.giver.on_closed(index) {
                    self.serves.insert(it, false);
                }
            }
            None => {}
        }
    }

    /// A client sends a request to the giver, has its response, or goes away.
    fn client(&mut self) {
        let served: Vec<usize> = self.serves.keys().copied().collect();
        let Some(it) = self.dice.pick(&served) else { return };
        if self.dice.roll(10) == 0 {
            self.serves.remove(&it);
            self.giver.withdraw(it);
            self.died_with.insert(it);
        } else {
            let busy = self.serves.get_mut(&it).expect("it is served");
            *busy = !*busy;
        }
    }

    fn die(&mut self, index: usize) {
        let other = &mut self.others[index];
        other.is_dead = true;
        other.down.clear();
        self.died_with.append(&mut other.serves);
    }

    fn stop_taking(&mut self, index: usize) {
        if !self.others[index].is_dead {
            self.others[index].taker.close();
            self.others[index].up.push_back(Up::Room(0));
        }
    }

    fn step(&mut self) {
        let index = self.dice.roll(2);
        match self.dice.roll(40) {
            0..10 => self.offer(),
            10..20 => self.down(index),
            20..30 => self.up(index),
            30..38 => self.client(),
            38 => self.die(index),
            _ => self.stop_taking(index),
        }
    }

    #[track_caller]
    fn check(&self, count: usize, seed: u64) {
        let mut served: Vec<usize> = self.serves.keys().copied().collect();
        for other in &self.others {
            served.extend(&other.serves);
            assert!(other.serves.len() as u64 <= other.cap, "seed {seed}: the cap");
        }
        let set: BTreeSet<usize> = served.iter().copied().collect();
        assert_eq!(set.len(), served.len(), "seed {seed}: two serve {served:?}");
        assert!(
            set.is_disjoint(&self.died_with) && set.len() <= count,
            "seed {seed}"
        );
    }
}

#[test]
fn a_connection_is_served_by_exactly_one_worker() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed);
        let count = world.serves.len();
        for _ in 0..120 {
            world.step();
            world.check(count, seed);
        }
        for _ in 0..200 {
            (0..2).for_each(|index| {
                world.down(index);
                world.up(index);
            });
        }
        world.check(count, seed);
        assert!(!world.giver.is_leaving(), "seed {seed}: one is still on its way");
        let others = world.others.iter().map(|other| other.serves.len());
        let served = world.serves.len() + others.sum::<usize>();
        assert_eq!(
            served + world.died_with.len(),
            count,
            "seed {seed}: one is lost"
        );
    }
}

/// With room and time, everything leaves.
#[test]
fn all_idle_connections_leave() {
    for seed in 0..200 {
        let mut world = World::new(seed);
        if world.others.iter().map(|it| it.cap).sum::<u64>()
            < world.serves.len() as u64
        {
            continue;
        }
        for _ in 0..200 {
            world.offer();
            (0..2).for_each(|index| {
                world.down(index);
                world.up(index);
            });
        }
        assert!(world.serves.is_empty(), "seed {seed}: {:?}", world.serves);
    }
}

#[test]
fn the_worker_with_the_fewest_connections_is_the_first() {
    let mut giver: Giver<()> = Giver::default();
    for (taker, room, load) in [(1, 5, 7), (2, 5, 3), (3, 0, 0)] {
        giver.add_taker(taker);
        giver.on_room(taker, room, load);
    }
    let order: Vec<usize> = (0..9)
        .map(|connection| {
            let taker = giver.taker().expect("there is room");
            giver.offer(taker, connection);
            taker
        })
        .collect();
    assert_eq!(order.iter().filter(|it| **it == 2).count(), 5, "{order:?}");
    assert_eq!(order[..4], [2, 2, 2, 2]);
}
