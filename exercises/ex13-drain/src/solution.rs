//! Your part.

use std::io;
use std::os::fd::AsFd as _;

use ch03_handles::HandleChannel;
use ch04_events::SignalPipe;

/// The worker: takes the listener that comes through `channel`, and answers, until it is drained.
///
/// It begins to drain when SIGTERM comes, when its program has failed (`Step::Failed`), or when its
/// parent is gone, whichever is first. From then on
/// - it accepts nobody: whoever connects waits for another worker;
/// - it has told the parent, once, with the message `{"act":"suicide"}`;
/// - it goes on with the connections that it has.
///
/// Returns the exit code, which is 1, once no connection is open; but at the latest `harness::LIMIT`
/// after the drain has begun.
///
/// # Errors
/// Those of `harness::wait`.
pub fn serve(channel: HandleChannel, signals: SignalPipe) -> io::Result<u8> {
    todo!(
        "wait for the parent ({:?}) and for signals ({:?})",
        channel.as_fd(),
        signals.as_fd()
    )
}
