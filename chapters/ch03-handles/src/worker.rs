//! The child: serves the listener with tiny_http, and shows what any other handle is good for.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    process::{self, ExitCode},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, anyhow};
use ch01_fork_ipc::RecvError;
use ch02_balance::wait_for;
use ch03_handles::{Delivery, Handle, HandleChannel, Kind, Received};
use cli::{complain, reason};
use nix::poll::PollFlags;
use serde_json::json;
use tiny_http::{Header, Response, Server};

/// How long a worker goes on when its parent is gone, if requests keep coming…
const LAST_WISH: Duration = Duration::from_secs(1);

/// …and how long it waits for a request then, before it believes that none will come.
const QUIET: Duration = Duration::from_millis(100);

/// How long somebody may take to make use of a handle that was sent to be tried out.
const PATIENCE: Duration = Duration::from_secs(5);

/// Does what the parent sends, until the parent is gone.
pub fn run(mut channel: HandleChannel) -> anyhow::Result<ExitCode> {
    let mut server = None;
    loop {
        // If the parent is gone, recv says so as well, after its last words.
        let _ = channel.pump();
        match channel.recv() {
            Ok(Some(Delivery::Message(received))) => {
                server = receive(&mut channel, received)?.or(server);
            }
            Ok(Some(Delivery::Wrong(_, wrong))) => complain(wrong),
            Ok(Some(Delivery::Missing)) => complain("a handle was lost: no descriptor is free"),
            Ok(Some(Delivery::Acked | Delivery::Refused(..))) => {}
            Err(error) if error.would_block() => {
                wait_for(&channel, channel.interest(), None)?;
            }
            Err(error @ RecvError::Json(_)) => complain(error),
            Ok(None) => break,
            Err(error) => {
                complain(error);
                break;
            }
        }
    }
    if let Some(server) = server {
        serve_to_the_end(&server)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// `"server"` with a listener is the work. Everything else is sent back with what came along; and
/// what came along is used.
fn receive(channel: &mut HandleChannel, received: Received) -> anyhow::Result<Option<Arc<Server>>> {
    let Received { message, handle, open: _open } = received;
    match handle {
        Some(Handle::TcpListener(listener)) if message == "server" => {
            return serve(listener).map(Some);
        }
        None => channel.send(&message)?,
        Some(handle) => {
            let is = Kind::of(&handle)?;
            channel
                .send(&json!({"message": message, "type": handle.kind(), "is": is.to_string()}))?;
            if let Err(error) = make_use_of(handle, is) {
                complain(format_args!("cannot use {is}: {}", reason(&error)));
            }
        }
    }
    Ok(None)
}

/// Serves `listener` with tiny_http, in threads of its own.
fn serve(listener: TcpListener) -> anyhow::Result<Arc<Server>> {
    // tiny_http accepts in a blocking loop and gives up at the first EAGAIN. O_NONBLOCK belongs to
    // the socket, not to a descriptor: a Node parent has set it, and this unsets it for everybody.
    listener.set_nonblocking(false)?;
    let server = Server::from_listener(listener, None).map_err(|why| anyhow!("{why}"))?;
    let server = Arc::new(server);
    let serving = server.clone();
    thread::Builder::new().spawn(move || {
        loop {
            if let Err(error) = serving.recv().and_then(answer) {
                complain(format_args!("tiny_http has ended: {}", reason(&error)));
                process::exit(1);
            }
        }
    })?;
    Ok(server)
}

/// The parent is gone. Whoever asks now is still answered, but not for ever.
///
/// Some may be lost here: tiny_http cannot stop accepting. Chapter 5 can.
fn serve_to_the_end(server: &Server) -> anyhow::Result<()> {
    let end = Instant::now() + LAST_WISH;
    while Instant::now() < end {
        match server.recv_timeout(QUIET).context("tiny_http has ended")? {
            Some(request) => answer(request)?,
            None => break,
        }
    }
    Ok(())
}

fn answer(request: tiny_http::Request) -> io::Result<()> {
    let text = format!("handled by child, pid is {}\n", process::id());
    let plain = Header::from_bytes("Content-Type", "text/plain").expect("it is one");
    // Only this client can be at fault, and it is gone.
    let _ = request.respond(Response::from_string(text).with_header(plain));
    Ok(())
}

/// Says a sentence over whatever it is: on a connection at once, on a listener to the first that
/// connects, to the sender of the first datagram.
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
            let (_, sender) = when_ready(&socket, || socket.recv_from(&mut [0; 1500]))?;
            socket.send_to(sentence.as_bytes(), sender).map(drop)
        }
        Kind::Pipe => File::from(fd).write_all(sentence.as_bytes()),
        Kind::Other => Err(ErrorKind::Unsupported.into()),
    }
}

fn say_on(mut stream: impl Read + Write, sentence: &str) -> io::Result<()> {
    stream.write_all(sentence.as_bytes())
}

/// Waits until `fd` can be read, then makes the `call` that reads it.
fn when_ready<T>(fd: &impl AsFd, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let until = Instant::now() + PATIENCE;
    if wait_for(fd, PollFlags::POLLIN, Some(until))? {
        call()
    } else {
        Err(ErrorKind::TimedOut.into())
    }
}
