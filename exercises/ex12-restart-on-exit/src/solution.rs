//! Your part.

use crate::harness::Plan;

/// Keeps `plan.workers` workers alive, each started with `plan.command()`.
///
/// - A worker that has ended is replaced, once, and nothing is kept of it: neither a zombie nor a
///   descriptor. One that could not be started counts as one that has ended.
/// - If it had said `"ready"`, its replacement starts at once. If not, nobody is started for a pause:
///   `plan.first_pause`, and twice as long after each further one, up to `plan.longest_pause`. One
///   that says `"ready"` sets the pause back; a pause that has begun goes on.
/// - SIGTERM ends it: every worker is sent SIGTERM, and nobody is replaced any more. Whoever lives
///   after `harness::STOP_LIMIT` is killed. Returns when all have ended.
///
/// # Errors
/// Those of `Children::new`, `Children::wait` and `Plan::command`.
pub fn keep_alive(plan: &Plan) -> anyhow::Result<()> {
    todo!("start {} workers, then wait for what happens to them", plan.workers)
}
