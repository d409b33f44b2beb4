//! Your part.

use crate::harness::{Action, Event};

/// A rolling reload: which worker starts next, and which one drains. It starts no
/// process and reads no clock.
///
/// Each worker belongs to a *generation*, the number of the configuration that it
/// was started with. One generation is *current*. A worker of any other generation
/// is *outdated*.
pub struct Rollout {
    // The fields are yours.
}

impl Rollout {
    /// A server that wants `wanted` workers, at least one. They are ready, their
    /// numbers are 1 to `wanted`, and they are of generation 1, which is current.
    pub fn new(wanted: usize) -> Rollout {
        todo!("workers 1 to {wanted} are ready")
    }

    /// Decides what to do about `event`. The order of the actions is yours.
    ///
    /// - `Reload` begins a reload: the next generation is current. Their numbers
    ///   are 2, 3, 4 and so on; none is used twice, not even after an undo.
    /// - A worker that starts is of the current generation, and has the next
    ///   number: `wanted + 1` is the first.
    /// - So many workers are starting or ready: `wanted`, and one more as long as
    ///   one of them is outdated. If there are fewer, others start.
    /// - When more than `wanted` are ready, the outdated one with the lowest number
    ///   drains. A worker that becomes outdated while it is starting drains at once:
    ///   it would be of no use.
    /// - When `wanted` workers of the current generation are ready, and none that
    ///   is starting or ready is outdated, the reload is `Done`.
    /// - During a reload, a worker of the current generation that exits before it is
    ///   ready, or is `Late`, undoes the reload: `Undone`. The generation from
    ///   before this reload is current again, and the same rules bring its workers
    ///   back.
    /// - A worker that is `Late` is killed. If it is ready already, or drains, this
    ///   event means nothing.
    /// - A worker that drains or was killed counts no more. Its exit means nothing.
    ///   Any other worker that exits is missing.
    /// - A `Reload` during a reload waits until that is done or undone, and then
    ///   begins at once. However many were asked for, it is one.
    ///
    /// It keeps nothing of workers that have exited: a server runs for years.
    pub fn step(&mut self, event: Event) -> Vec<Action> {
        todo!("what to do about {event:?}?")
    }
}
