// ANCHOR: top
//! How a worker that drains gives its idle connections to others. Plain data: the
//! messages, and who serves a connection at which moment.
//!
//! ```text
//! giver                                     taker
//!   <-  {"act":"room","room":64,"load":7}     so many may be offered
//!   {"act":"offer","n":5} + the socket  ->    not served yet: the giver serves it
//!   <-  (the channel's acknowledgement)       the taker has the descriptor
//!   {"act":"take","n":5}  ->                  if it is still idle; else "drop"
//!   <-  {"act":"taken","n":5,"room":1,"load":8}   from here on the taker serves it
//! ```
//!
//! Never do both serve the connection. Between `take` and `taken` neither does: a
//! request that arrives then waits in the socket. If the taker dies before `taken`, the
//! giver goes on.

use std::collections::{BTreeMap, VecDeque};
// ANCHOR_END: top

// ANCHOR: giver
/// What a worker has offered to others. `C` is a connection that leaves.
#[derive(Debug)]
pub struct Giver<C> {
    takers: BTreeMap<usize, TakerState>,
    /// Offers by number.
    offers: BTreeMap<u64, Offer<C>>,
    next: u64,
}

/// What is known of a taker.
#[derive(Debug, Default)]
struct TakerState {
    /// How many connections may be offered to it.
    room: u64,
    /// How many connections it has.
    load: u64,
    /// Offers that its channel has not acknowledged, the oldest first.
    unacknowledged: VecDeque<u64>,
}

#[derive(Debug)]
struct Offer<C> {
    taker: usize,
    stage: Stage<C>,
}

#[derive(Debug)]
enum Stage<C> {
    /// The giver serves the connection, which has this index.
    Offered(usize),
    /// The giver has closed the connection meanwhile.
    Withdrawn,
    /// The taker was told to take it, and has not answered. Neither reads from it.
    Leaving(C),
}
// ANCHOR_END: giver

// ANCHOR: giver_new
impl<C> Default for Giver<C> {
    /// Nothing is offered, and there is no taker yet.
    fn default() -> Giver<C> {
        Giver { takers: BTreeMap::new(), offers: BTreeMap::new(), next: 0 }
    }
}
// ANCHOR_END: giver_new

impl<C> Giver<C> {
    // ANCHOR: peers
    /// There is another taker. It has not said yet that it has room.
    pub fn add_taker(&mut self, taker: usize) {
        self.takers.insert(taker, TakerState::default());
    }

    /// A taker says for how many connections it has room, and how many it has.
    pub fn on_room(&mut self, taker: usize, room: u64, load: u64) {
        if let Some(state) = self.takers.get_mut(&taker) {
            (state.room, state.load) = (room, load);
        }
    }

    /// A taker says for how many more it has room, after it took or dropped one.
    pub fn on_more_room(&mut self, taker: usize, room: u64, load: u64) {
        if let Some(state) = self.takers.get_mut(&taker) {
            (state.room, state.load) = (state.room + room, load);
        }
    }

    /// The taker for the next offer: the one with the fewest connections of those that
    /// have room.
    pub fn taker(&self) -> Option<usize> {
        let with_room = self.takers.iter().filter(|(_, state)| state.room > 0);
        with_room.min_by_key(|(_, state)| state.load).map(|(&taker, _)| taker)
    }
    // ANCHOR_END: peers

    // ANCHOR: offer
    /// Offers the connection with this index. Returns the number of the offer.
    pub fn offer(&mut self, taker: usize, connection: usize) -> u64 {
        let number = self.next;
        self.next += 1;
        if let Some(state) = self.takers.get_mut(&taker) {
            state.room = state.room.saturating_sub(1);
            state.load += 1;
            state.unacknowledged.push_back(number);
        }
        let stage = Stage::Offered(connection);
        self.offers.insert(number, Offer { taker, stage });
        number
    }

    /// The connections that are offered.
    pub fn offered(&self) -> impl Iterator<Item = usize> {
        self.offers.values().filter_map(|offer| match offer.stage {
            Stage::Offered(connection) => Some(connection),
            _ => None,
        })
    }

    /// The giver has closed a connection, so it cannot be taken any more.
    pub fn withdraw(&mut self, connection: usize) {
        for offer in self.offers.values_mut() {
            if matches!(offer.stage, Stage::Offered(it) if it == connection) {
                offer.stage = Stage::Withdrawn;
            }
        }
    }
    // ANCHOR_END: offer

    // ANCHOR: acked
    /// The channel of a taker has acknowledged its oldest offer. Returns the number,
    /// and the connection if it was not withdrawn: if that is idle,
    /// [`leave`](Giver::leave) follows, else [`forget`](Giver::forget).
    pub fn on_acked(&mut self, taker: usize) -> Option<(u64, Option<usize>)> {
        let number = self.takers.get_mut(&taker)?.unacknowledged.pop_front()?;
        let connection = match self.offers.get(&number)?.stage {
            Stage::Offered(connection) => Some(connection),
            _ => None,
        };
        Some((number, connection))
    }

    /// The taker is told to take the connection. The giver serves it no more.
    pub fn leave(&mut self, number: u64, connection: C) {
        if let Some(offer) = self.offers.get_mut(&number) {
            offer.stage = Stage::Leaving(connection);
        }
    }

    /// The taker is told to drop its copy.
    pub fn forget(&mut self, number: u64) {
        self.offers.remove(&number);
    }
    // ANCHOR_END: acked

    // ANCHOR: taken
    /// The taker serves the connection from now on. Returns it, to be closed here.
    pub fn on_taken(&mut self, number: u64) -> Option<C> {
        match self.offers.remove(&number)?.stage {
            Stage::Leaving(connection) => Some(connection),
            _ => None,
        }
    }

    /// A taker's channel is closed. Returns the connections that it did not take: the
    /// giver serves them again.
    pub fn on_closed(&mut self, taker: usize) -> Vec<C> {
        self.takers.remove(&taker);
        let numbers: Vec<u64> = self
            .offers
            .iter()
            .filter_map(|(&number, offer)| (offer.taker == taker).then_some(number))
            .collect();
        numbers.into_iter().filter_map(|number| self.on_taken(number)).collect()
    }

    /// Whether a connection is on its way.
    pub fn is_leaving(&self) -> bool {
        self.offers.values().any(|it| matches!(it.stage, Stage::Leaving(_)))
    }
    // ANCHOR_END: taken
}

// ANCHOR: taker
/// What others have offered to a worker. `S` is a socket.
#[derive(Debug)]
pub struct Taker<S> {
    /// By giver: how many connections it may still offer.
    promised: BTreeMap<usize, u64>,
    offers: BTreeMap<(usize, u64), S>,
    /// This worker drains: nothing more is promised.
    is_closed: bool,
}

/// The most connections that one giver may have offered at once.
const MOST_OFFERS: u64 = 64;
// ANCHOR_END: taker

// ANCHOR: taker_new
impl<S> Default for Taker<S> {
    /// There is no giver yet.
    fn default() -> Taker<S> {
        let (promised, offers) = (BTreeMap::new(), BTreeMap::new());
        Taker { promised, offers, is_closed: false }
    }
}
// ANCHOR_END: taker_new

impl<S> Taker<S> {
    // ANCHOR: room
    /// There is another giver, and room for `free` connections. Returns how many of
    /// them it may offer.
    pub fn add_giver(&mut self, giver: usize, free: u64) -> u64 {
        let free = free.saturating_sub(self.reserved());
        // Half of it, so that this worker can still accept.
        let half = free.div_ceil(2);
        let room = if self.is_closed { 0 } else { MOST_OFFERS.min(half) };
        self.promised.insert(giver, room);
        room
    }

    /// Room that is not free, although nothing is served there: it is promised.
    pub fn reserved(&self) -> u64 {
        self.promised.values().sum::<u64>() + self.offers.len() as u64
    }

    /// After an offer was taken or dropped: how many more the giver may offer.
    pub fn more_room(&mut self, giver: usize, free: u64) -> u64 {
        let has_room = !self.is_closed && self.reserved() < free;
        match self.promised.get_mut(&giver) {
            Some(promised) if has_room => {
                *promised += 1;
                1
            }
            _ => 0,
        }
    }
    // ANCHOR_END: room

    // ANCHOR: offers
    /// A socket is offered. It is only kept.
    pub fn on_offer(&mut self, giver: usize, number: u64, socket: S) {
        if let Some(promised) = self.promised.get_mut(&giver) {
            *promised = promised.saturating_sub(1);
            self.offers.insert((giver, number), socket);
        }
    }

    /// The offer is to be taken or dropped: returns its socket.
    pub fn remove(&mut self, giver: usize, number: u64) -> Option<S> {
        self.offers.remove(&(giver, number))
    }

    /// A giver's channel is closed. What it did not give is not ours.
    pub fn on_closed(&mut self, giver: usize) {
        self.promised.remove(&giver);
        self.offers.retain(|(of, _), _| *of != giver);
    }

    /// This worker drains: nothing more may be offered. Returns the givers, which must
    /// be told.
    pub fn close(&mut self) -> Vec<usize> {
        self.is_closed = true;
        self.promised.values_mut().for_each(|promised| *promised = 0);
        self.promised.keys().copied().collect()
    }
    // ANCHOR_END: offers
}
