//! The child: serves the listener with tiny_http, and uses whatever other handle arrives.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    panic,
    process::{self, ExitCode},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use ch02_balance::{Received, poll_tokens};
use ch03_handles::{Handle, HandleChannel, Kind};
use cli::{complain, reason};
use nix::poll::{PollFd, PollFlags};
use serde_json::{Value, json};
use tiny_http::{Header, Response, Server};

/// Threads that answer.
const THREADS: usize = 8;

/// How long a client may take to use the other end of a handle.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);

/// Does what the parent sends, until the parent closes the channel.
pub fn run(mut channel: HandleChannel) -> anyhow::Result<ExitCode> {
    loop {
        let fd = PollFd::new(channel.as_fd(), channel.interest());
        poll_tokens(vec![((), fd)], None)?;
        for received in channel.receive() {
            match received {
                Received::Handle(message, Handle::TcpListener(listener))
                    if message == "server" =>
                {
                    serve(listener)?;
                }
                Received::Handle(message, handle) => {
                    let (type_, is) = (handle.node_type(), Kind::of(&handle)?);
                    let is_text = is.to_string();
                    reply(
                        &mut channel,
                        &json!({"message": message, "type": type_, "is": is_text}),
                    );
                    if let Err(error) = make_use_of(handle, is) {
                        complain(format_args!(
                            "cannot use {is}: {}",
                            reason(&error)
                        ));
                    }
                }
                Received::Message(message) => reply(&mut channel, &message),
                Received::Ignored(why) => complain(why),
                Received::Acked | Received::Returned(..) => {}
                Received::Closed(None) => return Ok(ExitCode::SUCCESS),
                Received::Closed(Some(error)) => return Err(error.into()),
            }
        }
    }
}

fn reply(channel: &mut HandleChannel, message: &Value) {
    if let Err(error) = channel.send(message) {
        complain(error);
    }
}

/// Serves `listener` with tiny_http, in threads of its own.
///
/// There are several, because tiny_http reads a request's body to its end before it lets
/// go of the request: a client that does not send its body keeps a thread.
fn serve(listener: TcpListener) -> anyhow::Result<()> {
    exit_when_deaf();
    // tiny_http's accept blocks, and gives up at the first EAGAIN. O_NONBLOCK belongs to
    // the open file description, which all copies of a descriptor share (fcntl(2)): this
    // clears it for every worker.
    listener.set_nonblocking(false)?;
    let server =
        Server::from_listener(listener, None).map_err(|why| anyhow!("{why}"))?;
    let server = Arc::new(server);
    for _ in 0..THREADS {
        let server = server.clone();
        thread::Builder::new().spawn(move || {
            loop {
                match server.recv() {
                    Ok(request) => answer(request),
                    Err(error) => {
                        complain(format_args!("cannot accept: {}", reason(&error)));
                        process::exit(1);
                    }
                }
            }
        })?;
    }
    Ok(())
}

/// tiny_http panics when no thread can be started. Its thread that accepts ends then, and
/// the process would live on and serve nothing.
fn exit_when_deaf() {
    panic::set_hook(Box::new(|panic| {
        let file = panic.location().map_or("", |location| location.file());
        // tiny_http's, and it costs just this connection: the client has reset it before it
        // was accepted.
        if !file.ends_with("client.rs") {
            complain(format_args!("tiny_http panicked: {panic}"));
            process::exit(1);
        }
    }));
}

fn answer(request: tiny_http::Request) {
    let text = format!("handled by child, pid is {}\n", process::id());
    let plain =
        Header::from_bytes("Content-Type", "text/plain").expect("a valid header");
    // An error here is a client that has gone.
    let _ = request.respond(Response::from_string(text).with_header(plain));
}

/// Writes a sentence through `handle`: on a connection at once, on a listener to the first
/// client that connects, on a UDP socket to the sender of the first datagram.
fn make_use_of(handle: Handle, is: Kind) -> io::Result<()> {
    let sentence = format!("{} speaks through {is}\n", process::id());
    let fd = OwnedFd::from(handle);
    match is {
        Kind::Tcp => say_on(TcpStream::from(fd), &sentence),
        Kind::Unix => say_on(UnixStream::from(fd), &sentence),
        Kind::TcpListener => {
            let listener = TcpListener::from(fd);
            say_on(when_ready(&listener, || listener.accept())?.0, &sentence)
        }
        Kind::UnixListener => {
            let listener = UnixListener::from(fd);
            say_on(when_ready(&listener, || listener.accept())?.0, &sentence)
        }
        Kind::Udp => {
            let socket = UdpSocket::from(fd);
            let (_, sender) =
                when_ready(&socket, || socket.recv_from(&mut [0; 1500]))?;
            socket.send_to(sentence.as_bytes(), sender).map(drop)
        }
        Kind::Pipe => File::from(fd).write_all(sentence.as_bytes()),
        Kind::Other => Err(ErrorKind::Unsupported.into()),
    }
}

fn say_on(mut stream: impl Write, sentence: &str) -> io::Result<()> {
    stream.write_all(sentence.as_bytes())
}

/// Waits until `fd` can be read, then makes the `call` that reads it.
fn when_ready<T>(
    fd: &impl AsFd,
    call: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let until = Instant::now() + CLIENT_TIMEOUT;
    let fd = PollFd::new(fd.as_fd(), PollFlags::POLLIN);
    if poll_tokens(vec![((), fd)], Some(until))?.is_empty() {
        return Err(ErrorKind::TimedOut.into());
    }
    call()
}
