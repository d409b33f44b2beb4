//! Your part.

use std::io;
use std::time::Duration;

use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;

use crate::worker_io::Greeter;

/// The worker: receives its listener through `channel` (`Received::Handle`),
/// accepts connections, and answers the requests of each (`Connection::step`) until
/// it has drained.
///
/// A connection is kept until its step is `Closed`: its client may send many
/// requests.
///
/// The worker begins to drain when SIGTERM arrives, when its program has failed
/// (`Step::Failed`), or when the channel has ended (`Received::Closed`, with an
/// error or without): at the first of these. From then on
/// - it accepts no connection, and its copy of the listener is closed, even if the
///   listener arrives only now;
/// - it has told its parent, once, with the message `{"act":"suicide"}` (unless the
///   channel has ended);
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
