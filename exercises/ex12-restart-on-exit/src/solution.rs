//! Your part.

use crate::harness::Plan;

/// Keeps one worker alive for each name in `plan.names`, started with
/// `plan.command(name)`.
///
/// - A worker that has exited, or that could not be started, is replaced, once.
///   Nothing is kept of it: no zombie, and no descriptor.
/// - If it had sent `"ready"`, its replacement starts at once. If not, the name has
///   failed, and the replacement starts after a pause: `plan.first_pause` after the
///   first failure, twice as long after each further failure of this name,
///   `plan.longest_pause` at most. When a worker sends `"ready"`, the next failure
///   of its name is a first one again.
/// - Each name has its own pause: what happens to one name delays no other.
/// - If nothing is to be done, it sleeps.
/// - The first SIGTERM ends it, in a pause too: it sends SIGTERM to each worker,
///   and starts none any more. A worker that has not exited after `plan.stop_limit`
///   is sent SIGKILL. Returns when all workers have exited.
///
/// # Errors
/// Those of `Children::new`, `Children::wait` and `Plan::command`.
pub fn keep_alive(plan: &Plan) -> anyhow::Result<()> {
    todo!("start {} workers, then wait for events", plan.names.len())
}
