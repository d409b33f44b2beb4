//! Who is started, and who has to make room for that.

use std::time::{Duration, Instant};

use ch04_events::Id;

use super::{Action, State, Supervisor};

/// How long a worker may drain, at least, when there is need for its place.
const FAIR_CHANCE: Duration = Duration::from_secs(1);

impl Supervisor {
    // ANCHOR: fill
    /// Starts those that are missing, as far as there is room.
    pub(super) fn fill(&mut self, now: Instant, actions: &mut Vec<Action>) {
        self.room_at = None;
        if self.retry.is_some_and(|retry| now < retry) {
            return;
        }
        self.retry = None;
        let missing =
            self.want.saturating_sub(self.ready().count() + self.starting());
        let room = self.room();
        if missing > room {
            self.make_room(now, missing - room, actions);
        }
        let starts = missing.min(self.room());
        self.asked_for += starts;
        actions.extend((0..starts).map(|_| Action::Start));
    }
    // ANCHOR_END: fill

    // ANCHOR: make_room
    /// How many may be started. A program that crashes on each request, and clients that are slow,
    /// must not fill the process table with workers that drain: 2N + 8 are enough for all.
    fn room(&self) -> usize {
        (2 * self.want + 8).saturating_sub(self.living().count() + self.asked_for)
    }

    /// Kills the oldest of those that drain; but not one that has hardly begun to: that is no slow
    /// client, that is a processor with too much to do.
    fn make_room(
        &mut self,
        now: Instant,
        places: usize,
        actions: &mut Vec<Action>,
    ) {
        let draining = self.workers.iter().filter_map(|(&id, state)| match state {
            State::Draining { since, .. } => Some((*since + FAIR_CHANCE, id)),
            _ => None,
        });
        let mut draining: Vec<(Instant, Id)> = draining.collect();
        draining.sort_unstable();
        for (old_enough, id) in draining.into_iter().take(places) {
            if now < old_enough {
                self.room_at = Some(old_enough);
                return;
            }
            self.workers.insert(id, State::Killed);
            actions.push(Action::Kill(id));
        }
    }
    // ANCHOR_END: make_room
}
