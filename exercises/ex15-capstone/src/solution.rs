//! Your part.

use std::io;
use std::os::fd::AsFd as _;

use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;

use crate::harness::{Greeter, Plan};

/// The parent: listens (`plan.options.listen()`), and keeps `plan.options.workers` workers alive, each
/// started with `plan.command()` and sent the listener. It never accepts.
///
/// - A worker is ready when it has the listener: `Event::Acked`.
/// - One that says `{"act":"suicide"}` is replaced then, and not once more when it ends. One that ends
///   without that is replaced as well. Nothing is kept of it: neither a zombie nor a descriptor.
/// - The replacement starts at once. But if the worker was never ready, nobody is started for a pause:
///   `harness::FIRST_PAUSE`, and twice as long after each further one, up to `harness::LONGEST_PAUSE`. One
///   that gets ready sets the pause back; a pause that has begun goes on.
/// - SIGTERM or SIGINT ends it: the listener is closed, every worker is sent SIGTERM, and nobody is
///   replaced any more. Whoever lives after `harness::STOP_LIMIT` is killed. Returns when all have ended.
///
/// # Errors
/// When it cannot listen, or copy the listener; and those of `Children::new`, `Children::wait` and
/// `Plan::command`.
pub fn keep_alive(plan: &Plan) -> anyhow::Result<()> {
    todo!(
        "listen on port {}, and start {} workers",
        plan.options.port,
        plan.options.workers
    )
}

/// The worker: takes the listener that comes through `channel`, and answers, until it is drained.
///
/// It begins to drain when SIGTERM comes, when its program has failed (`Step::Failed`), or when its
/// parent is gone, whichever is first. From then on
/// - it accepts nobody: whoever connects waits for another worker;
/// - it has told the parent, once, with the message `{"act":"suicide"}`;
/// - it goes on with the connections that it has, and each gets its `last` answer.
///
/// Returns once no connection is open; but at the latest `harness::LIMIT` after the drain has begun.
///
/// # Errors
/// Those of `harness::wait`.
pub fn serve(
    channel: HandleChannel,
    signals: SignalPipe,
    program: Greeter,
) -> io::Result<()> {
    todo!(
        "wait for {:?} and {:?}, then {}",
        channel.as_fd(),
        signals.as_fd(),
        program.handle()
    )
}
