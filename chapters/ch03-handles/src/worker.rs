// ANCHOR: head
//! The child: serves the listener that its parent sends, with tiny_http.

use std::{
    io,
    net::TcpListener,
    os::fd::AsFd,
    panic,
    process::{self, ExitCode},
    sync::Arc,
    thread,
    time::Instant,
};

use anyhow::{Context as _, anyhow};
use ch02_balance::{Received, poll_tokens};
use ch03_handles::{Handle, HandleChannel};
use cli::{LogLimit, complain, reason, why};
use nix::poll::PollFd;
use tiny_http::{Header, Request, Response, Server};

use crate::tour;
// ANCHOR_END: head

// ANCHOR: threads
/// Threads that answer requests. A client that does not send its body keeps one of
/// them busy.
const THREADS: usize = 8;
// ANCHOR_END: threads

// ANCHOR: run
/// Does what the parent sends, until the parent closes the channel.
pub fn run(mut channel: HandleChannel) -> anyhow::Result<ExitCode> {
    let log_limit = LogLimit::new();
    loop {
        let polled = PollFd::new(channel.as_fd(), channel.interest());
        poll_tokens(vec![((), polled)], None)
            .context("cannot wait for the parent")?;
        for received in channel.receive() {
            let done = match received {
                Received::Handle(message, Handle::TcpListener(listener))
                    if message == "server" =>
                {
                    // A worker that cannot serve is of no use: it exits.
                    serve(listener)?;
                    Ok(())
                }
                Received::Handle(message, handle) => {
                    tour::use_handle(&mut channel, message, handle)
                }
                Received::Message(message) => {
                    channel.send(&message).context("cannot send a message back")
                }
                Received::Ignored(why) => Err(anyhow!(why)),
                // A worker sends no handles.
                Received::Acked
                | Received::Internal(_)
                | Received::Returned(..) => Ok(()),
                Received::Closed(None) => return Ok(ExitCode::SUCCESS),
                Received::Closed(Some(error)) => return Err(error.into()),
            };
            if let Err(error) = done {
                log_limit.complain(Instant::now(), why(&error));
            }
        }
    }
}
// ANCHOR_END: run

// ANCHOR: serve
/// Serves `listener` in threads of its own. Does not block.
///
/// # Errors
/// When no thread can be started.
fn serve(listener: TcpListener) -> anyhow::Result<()> {
    exit_if_a_thread_panics();
    // tiny_http's thread that accepts ends at the first error, EAGAIN included. So
    // accept(2) must block. O_NONBLOCK belongs to the socket, not to the descriptor
    // (fcntl(2)): this clears it for every worker.
    listener.set_nonblocking(false).context("cannot make the listener block")?;
    let server = Server::from_listener(listener, None)
        .map_err(|why| anyhow!("cannot serve: {why}"))?;
    let server = Arc::new(server);
    for _ in 0..THREADS {
        let server = server.clone();
        let answer_all = move || {
            loop {
                match server.recv() {
                    Ok(request) => answer(request),
                    Err(error) => exit_not_accepting(&reason(&error)),
                }
            }
        };
        thread::Builder::new()
            .spawn(answer_all)
            .context("cannot start a thread")?;
    }
    Ok(())
}
// ANCHOR_END: serve

// ANCHOR: answer
/// Reads the body, and writes the response. If that fails, the client is gone.
fn answer(mut request: Request) {
    // tiny_http does not skip a chunked body that is not read: it would take it for
    // the next request.
    let _ = io::copy(request.as_reader(), &mut io::sink());
    let text = format!("handled by child, pid is {}\n", process::id());
    let plain =
        Header::from_bytes("Content-Type", "text/plain").expect("a valid header");
    let _ = request.respond(Response::from_string(text).with_header(plain));
}
// ANCHOR_END: answer

// ANCHOR: panics
/// tiny_http panics if it cannot start a thread for a connection. The panic ends
/// only the thread that accepts: the process would run on, and serve nothing.
fn exit_if_a_thread_panics() {
    static RESETS: LogLimit = LogLimit::new();
    panic::set_hook(Box::new(|panic| {
        let file = panic.location().map_or("", |place| place.file());
        if file.contains("tiny_http") && file.ends_with("client.rs") {
            // This panic ends the thread of one connection. The others go on
            // accepting and answering.
            let line = "a client reset its connection before it was accepted";
            return RESETS.complain(Instant::now(), line);
        }
        let text = panic.payload().downcast_ref::<String>();
        exit_not_accepting(text.map_or("a thread panicked", String::as_str));
    }));
}

/// Exits, because no thread accepts any more. The parent reads the end of the
/// channel.
fn exit_not_accepting(why: &str) -> ! {
    complain(format_args!("cannot accept any more: {why}"));
    process::exit(1);
}
// ANCHOR_END: panics
