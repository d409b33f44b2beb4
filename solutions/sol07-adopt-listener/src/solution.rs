//! Solution.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::fd::AsFd;

use ch02_balance::{FdChannel, Received, poll_tokens};
use nix::poll::{PollFd, PollFlags};

use crate::worker_io::respond;

// ANCHOR: serve
/// The listeners that are served, by name.
type Listeners = BTreeMap<String, TcpListener>;

/// What poll(2) has found.
enum Token {
    Channel,
    Listener(String),
}

/// Serves the listeners that the parent sends, all at the same time, until the
/// parent closes the channel. Then it returns at once, whatever clients do.
///
/// - A listener arrives as a handle of the kind `net.Server`, with the message
///   `{"serve": NAME}`, in which NAME is a string. Each connection that is accepted
///   from it is given to [`respond`], with that name.
/// - If a listener is served under that name already, the new one takes its place,
///   and the old one is closed.
/// - Every other message or handle is dropped; a descriptor is closed then.
/// - A listener may arrive blocking or non-blocking. Other processes may serve the
///   same listener at the same time: if another one accepts the connection that
///   woke this process, this process goes on.
/// - While nothing happens, it uses no CPU time.
///
/// # Errors
/// The errors of the channel, of poll(2) and of accept(2).
pub fn serve(mut channel: FdChannel) -> anyhow::Result<()> {
    let mut listeners = Listeners::new();
    loop {
        for token in wait(&channel, &listeners)? {
            match token {
                Token::Channel => {
                    for received in channel.receive() {
                        match received {
                            Received::Closed(None) => return Ok(()),
                            Received::Closed(Some(error)) => {
                                return Err(error.into());
                            }
                            other => adopt(other, &mut listeners)?,
                        }
                    }
                }
                Token::Listener(name) => accept(&listeners[&name], &name)?,
            }
        }
    }
}
// ANCHOR_END: serve

// ANCHOR: wait
/// Blocks until the parent has sent something or a client has connected.
fn wait(channel: &FdChannel, listeners: &Listeners) -> io::Result<Vec<Token>> {
    let channel = PollFd::new(channel.as_fd(), channel.interest());
    let mut polled = vec![(Token::Channel, channel)];
    for (name, listener) in listeners {
        let fd = PollFd::new(listener.as_fd(), PollFlags::POLLIN);
        polled.push((Token::Listener(name.clone()), fd));
    }
    poll_tokens(polled, None)
}
// ANCHOR_END: wait

// ANCHOR: adopt
/// Takes a listener, and drops everything else.
fn adopt(received: Received, listeners: &mut Listeners) -> io::Result<()> {
    let Received::Handle(message, handle) = received else { return Ok(()) };
    let name = message["serve"].as_str().filter(|_| handle.kind == "net.Server");
    let Some(name) = name else { return Ok(()) };
    let listener = TcpListener::from(handle.fd);
    // poll(2) wakes all processes that wait for this listener, and one of them gets
    // the connection. In the others, accept(2) would block.
    listener.set_nonblocking(true)?;
    // If there was one with that name, it is dropped here, which closes it.
    listeners.insert(name.to_owned(), listener);
    Ok(())
}
// ANCHOR_END: adopt

// ANCHOR: accept
/// Accepts one connection. If more clients wait, poll(2) says so again.
fn accept(listener: &TcpListener, name: &str) -> io::Result<()> {
    match listener.accept() {
        Ok((connection, _)) => respond(connection, name),
        // Another process was faster, or this listener has just replaced the one
        // that poll(2) has seen.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        // The client has gone (accept(2)).
        Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
        Err(error) => return Err(error),
    }
    Ok(())
}
// ANCHOR_END: accept
