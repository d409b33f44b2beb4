//! Solution.

use std::net::TcpListener;
use std::{process, thread};

use anyhow::anyhow;
use ch02_balance::{FdChannel, Incoming, wait_for};
use tiny_http::{Response, Server};

// ANCHOR: receive
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
    while let Some(incoming) = next(channel)? {
        match incoming {
            Incoming::Passed(it)
                if it.kind == "net.Server" && it.message == "server" =>
            {
                return Ok(Some(it.fd.into()));
            }
            // Dropped, and so closed, where it is a descriptor.
            _ => {}
        }
    }
    Ok(None)
}
// ANCHOR_END: receive

// ANCHOR: serve
/// Answers every request on `listener` with `handled by child, pid is PID` and a newline, and has
/// tiny_http do it. Returns when the parent ends the channel, at once, whatever clients do.
///
/// The listener may come non-blocking. Others may serve it too, and go on when this returns. What comes
/// over the channel meanwhile is dropped. Uses no processor time while nobody asks.
///
/// # Errors
/// Those of the listener, of the channel, and of poll(2).
pub fn serve(listener: TcpListener, mut channel: FdChannel) -> anyhow::Result<()> {
    // O_NONBLOCK belongs to the socket, not to the descriptor: who had it before may have set it, and
    // tiny_http's thread gives up at the first EAGAIN.
    listener.set_nonblocking(false)?;
    let server =
        Server::from_listener(listener, None).map_err(|why| anyhow!(why))?;
    // tiny_http has the listener, and one thread here has tiny_http. So this one can wait for the parent.
    thread::spawn(move || {
        for request in server.incoming_requests() {
            let text = format!("handled by child, pid is {}\n", process::id());
            // Only this client can be at fault, and it is gone.
            let _ = request.respond(Response::from_string(text));
        }
        // tiny_http has given up. A worker that serves nobody must not look like one that does.
        process::exit(1);
    });
    while next(&mut channel)?.is_some() {}
    // The server is not dropped: it would knock at its own port, and a sibling would open. The process
    // ends, and that is enough.
    Ok(())
}
// ANCHOR_END: serve

// ANCHOR: next
/// What comes next; `None` at the end of the channel. Blocks until then.
fn next(channel: &mut FdChannel) -> anyhow::Result<Option<Incoming>> {
    loop {
        match channel.recv() {
            // Only now wait: poll(2) does not see what the channel holds already.
            Err(error) if error.would_block() => {
                wait_for(channel, channel.interest(), None)?
            }
            result => return Ok(result?),
        };
    }
}
// ANCHOR_END: next
