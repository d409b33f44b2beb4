//! Your part.

use std::os::fd::AsFd as _;

use ch02_balance::FdChannel;

/// Serves the listeners that the parent sends, all at the same time, until the
/// parent closes the channel. Then it returns at once, whatever clients do.
///
/// - A listener arrives as a handle of the kind `net.Server`, with the message
///   `{"serve": NAME}`, in which NAME is a string. Each connection that is accepted
///   from it is given to [`respond`](crate::worker_io::respond), with that name.
/// - If a listener is served under that name already, the new one takes its place,
///   and the old one is closed.
/// - Every other message or handle is dropped; a descriptor is closed then.
/// - A listener may arrive blocking or non-blocking. Other processes may serve the
///   same listener at the same time: if another one accepts the connection that
///   woke this process, this process goes on.
/// - While nothing happens, it uses no CPU time.
///
/// # Errors
/// The error of a channel that has failed (`Received::Closed(Some(error))`), and
/// those of poll(2) and of accept(2), except that no client waits any more.
pub fn serve(channel: FdChannel) -> anyhow::Result<()> {
    todo!("serve the listeners that arrive on {:?}", channel.as_fd())
}
