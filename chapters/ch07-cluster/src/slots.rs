// ANCHOR: top
//! Which worker accepts from which listener. Plain data, like chapter 5's supervisor.
//!
//! With `SO_REUSEPORT` each listener has a queue of its own. A queue that no worker
//! accepts from would keep its clients waiting, so another worker takes it over until
//! there is a new worker for it.

use std::collections::BTreeMap;

use ch04_events::Id;
// ANCHOR_END: top

// ANCHOR: fields
/// The listeners, by number, and the workers that accept from them.
#[derive(Debug)]
pub struct Slots {
    count: usize,
    /// The workers that accept, and from which listeners.
    workers: BTreeMap<Id, Vec<usize>>,
    /// The workers that start, each with the listener that it will get.
    starting: BTreeMap<Id, usize>,
}

/// What the primary must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// Send this worker a copy of this listener.
    Listen(Id, usize),
    /// Tell this worker to close its copy of this listener.
    Release(Id, usize),
}
// ANCHOR_END: fields

impl Slots {
    // ANCHOR: new
    /// So many listeners, and no workers.
    pub fn new(count: usize) -> Slots {
        Slots { count, workers: BTreeMap::new(), starting: BTreeMap::new() }
    }

    /// A listener more.
    pub fn push(&mut self) {
        self.count += 1;
    }

    /// The listener for the next worker: the one with the fewest workers. If there
    /// are several, one whose worker has others as well.
    pub fn for_new_worker(&self) -> usize {
        let starting =
            |slot| self.starting.values().filter(|&&it| it == slot).count();
        let most_listeners = |slot| {
            let of_slot = self.workers.values().filter(|it| it.contains(&slot));
            of_slot.map(Vec::len).max().unwrap_or(0)
        };
        let own_workers = |slot| {
            self.count(slot) + starting(slot)
                - usize::from(most_listeners(slot) > 1)
        };
        (0..self.count).min_by_key(|&slot| own_workers(slot)).unwrap_or(0)
    }

    /// A worker starts. It will get this listener.
    pub fn start(&mut self, id: Id, slot: usize) {
        self.starting.insert(id, slot);
    }

    /// A worker has its listener.
    pub fn ready(&mut self, id: Id) {
        if let Some(slot) = self.starting.remove(&id) {
            self.workers.insert(id, vec![slot]);
        }
    }

    /// A worker accepts no more.
    pub fn remove(&mut self, id: Id) {
        self.starting.remove(&id);
        self.workers.remove(&id);
    }

    /// How many workers accept from a listener.
    fn count(&self, slot: usize) -> usize {
        self.workers.values().filter(|slots| slots.contains(&slot)).count()
    }
    // ANCHOR_END: new

    // ANCHOR: change
    /// The next change, so that every listener has a worker, and no worker has a
    /// listener too many.
    pub fn change(&mut self) -> Option<Change> {
        self.cover().or_else(|| self.release())
    }

    /// A listener without a worker goes to the worker with the fewest listeners.
    fn cover(&mut self) -> Option<Change> {
        let slot = (0..self.count).find(|&slot| self.count(slot) == 0)?;
        let (&id, slots) =
            self.workers.iter_mut().min_by_key(|(_, it)| it.len())?;
        slots.push(slot);
        Some(Change::Listen(id, slot))
    }

    /// A worker with several listeners gives up one that has another worker.
    fn release(&mut self) -> Option<Change> {
        let slot_of =
            |slots: &[usize]| slots.iter().position(|&slot| self.count(slot) > 1);
        let (id, index) = self
            .workers
            .iter()
            .filter(|(_, slots)| slots.len() > 1)
            .find_map(|(&id, slots)| Some((id, slot_of(slots)?)))?;
        let slot = self.workers.get_mut(&id)?.remove(index);
        Some(Change::Release(id, slot))
    }

    /// [`Change::Listen`] could not be carried out.
    pub fn undo(&mut self, id: Id, slot: usize) {
        if let Some(slots) = self.workers.get_mut(&id) {
            slots.retain(|it| *it != slot);
        }
    }
    // ANCHOR_END: change
}
