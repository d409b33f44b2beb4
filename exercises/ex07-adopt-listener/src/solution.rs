//! Your part.

use std::net::TcpListener;
use std::os::fd::AsFd as _;

use ch02_balance::FdChannel;

/// Waits until the parent sends the message `"server"` with a listener: an envelope of the type
/// `net.Server`. Whatever else comes, alone or with a descriptor, is dropped.
///
/// `None` when the parent ends the channel before that. Blocks, and uses no processor time meanwhile.
///
/// # Errors
/// Those of the channel, and of poll(2).
pub fn receive_listener(
    channel: &mut FdChannel,
) -> anyhow::Result<Option<TcpListener>> {
    todo!("take what comes from {:?}, until it is the listener", channel.as_fd())
}

/// Answers every request on `listener` with `handled by child, pid is PID` and a newline, and has
/// tiny_http do it. Returns when the parent ends the channel, at once, whatever clients do.
///
/// The listener may come non-blocking. Others may serve it too, and go on when this returns. What comes
/// over the channel meanwhile is dropped. Uses no processor time while nobody asks.
///
/// # Errors
/// Those of the listener, of the channel, and of poll(2).
pub fn serve(listener: TcpListener, channel: FdChannel) -> anyhow::Result<()> {
    todo!("serve {listener:?} with tiny_http, until {:?} ends", channel.as_fd())
}
