//! Your part.

use std::io;
use std::time::Duration;

use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;

use crate::harness::Plan;
use crate::worker_io::Greeter;

/// The master: listens (`plan.options.listen()`), and keeps `plan.options.workers`
/// workers alive, each started with `plan.command()` and sent the listener, as a
/// handle with the message `"server"`. It never accepts a connection.
///
/// - A worker is ready when it has its listener: `Event::Acked`.
/// - A worker that says `{"act":"suicide"}` is replaced then, and not again when it
///   exits. A worker that exits without having said it is replaced when it exits.
///   Nothing is kept of it: no zombie, and no descriptor.
/// - The replacement starts at once. But if the worker was never ready, no worker
///   at all starts for a pause: `plan.first_pause`, twice as long after each
///   further failure, `plan.longest_pause` at most. (You may count failures in the
///   same pause as one.) When a worker gets ready, the next failure is a first one
///   again.
/// - If nothing is to be done, it sleeps.
/// - SIGTERM or SIGINT ends it, in a pause too: it closes its listener, sends
///   SIGTERM to each worker, and starts none any more. A worker that has not exited
///   after `plan.stop_limit` is sent SIGKILL. Returns when all workers have exited.
///
/// # Errors
/// If it cannot listen, or cannot copy the listener; and those of `Children::new`,
/// `Children::wait` and `Plan::command`.
pub fn keep_alive(plan: &Plan) -> anyhow::Result<()> {
    todo!(
        "listen on port {}, and start {} workers",
        plan.options.port,
        plan.options.workers
    )
}

/// The worker: receives its listener through `channel` (`Received::Handle`),
/// accepts connections, and answers the requests of each (`Connection::step`) until
/// it has drained. The contract is that of exercise 13:
///
/// A connection is kept until its step is `Closed`: its client may send many
/// requests.
///
/// The worker begins to drain when SIGTERM arrives, when its program has failed
/// (`Step::Failed`), or when the channel has ended (`Received::Closed`): at the
/// first of these. From then on
/// - it accepts no connection, and its copy of the listener is closed;
/// - it has told its parent, once, with the message `{"act":"suicide"}`;
/// - it goes on with its open connections: each response is the `last` on its
///   connection.
///
/// Returns when no connection is open; but when `limit` has passed since the drain
/// began, it returns with open connections. While there is nothing to do, it
/// sleeps.
///
/// # Errors
/// Those of `worker_io::wait`.
pub fn serve(
    channel: HandleChannel,
    signals: SignalPipe,
    program: Greeter,
    limit: Duration,
) -> io::Result<()> {
    let _ = (channel, signals, program, limit);
    todo!("a loop: wait, receive, go on with each connection, accept")
}
