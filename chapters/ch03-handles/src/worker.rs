//! The child: serves the listener with tiny_http, and shows what any other handle is good for.

use std::{
    fs::File,
    io::{self, ErrorKind, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    process::{self, ExitCode},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::anyhow;
use ch01_fork_ipc::RecvError;
use ch02_balance::wait_for;
use ch03_handles::{Delivery, Handle, HandleChannel, Kind, Received};
use cli::{complain, reason};
use nix::poll::PollFlags;
use serde_json::json;
use tiny_http::{Header, Response, Server};

/// How long a worker goes on when its parent is gone, if requests keep coming…
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// …and how long it waits for a request then, before it believes that none will come.
const IDLE_LIMIT: Duration = Duration::from_millis(100);

/// Threads that answer.
const THREADS: usize = 8;

/// How long somebody may take to make use of a handle that was sent to be tried out.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

// ANCHOR: run
/// Does what the parent sends, until the parent is gone.
pub fn run(mut channel: HandleChannel) -> anyhow::Result<ExitCode> {
    let mut answers = None;
    loop {
        match channel.recv() {
            Ok(Some(Delivery::Message(received))) => {
                answers = receive(&mut channel, received)?.or(answers);
            }
            Ok(Some(Delivery::Wrong(_, wrong))) => complain(wrong),
            Ok(Some(Delivery::Missing)) => {
                complain("a handle was lost: no descriptor is free")
            }
            Ok(Some(
                Delivery::Acked | Delivery::Refused(..) | Delivery::Internal,
            )) => {}
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
    if let Some(answers) = answers {
        serve_to_the_end(&answers);
    }
    Ok(ExitCode::SUCCESS)
}
// ANCHOR_END: run

// ANCHOR: receive
/// `"server"` with a listener is the work. Everything else is sent back with what came along; and
/// what came along is used.
fn receive(
    channel: &mut HandleChannel,
    received: Received,
) -> anyhow::Result<Option<Arc<AtomicUsize>>> {
    let Received { message, handle, open: _open } = received;
    match handle {
        Some(Handle::TcpListener(listener)) if message == "server" => {
            return serve(listener).map(Some);
        }
        None => channel.send_and_wait(&message)?,
        Some(handle) => {
            let is = Kind::of(&handle)?;
            let report = json!({"message": message, "type": handle.node_type(), "is": is.to_string()});
            channel.send_and_wait(&report)?;
            if let Err(error) = make_use_of(handle, is) {
                complain(format_args!("cannot use {is}: {}", reason(&error)));
            }
        }
    }
    Ok(None)
}
// ANCHOR_END: receive

// ANCHOR: serve
/// Serves `listener` with tiny_http, in threads of its own. Returns the number of answers so far.
///
/// There are several, because tiny_http reads a request's body to its end before it lets go of the
/// request: a client that does not send it keeps a thread.
fn serve(listener: TcpListener) -> anyhow::Result<Arc<AtomicUsize>> {
    // tiny_http's accept blocks, and gives up at the first EAGAIN. O_NONBLOCK belongs to the open
    // file description, which all copies of a descriptor share (fcntl(2)): a Node parent has set it,
    // and this clears it for every worker.
    listener.set_nonblocking(false)?;
    let server =
        Server::from_listener(listener, None).map_err(|why| anyhow!("{why}"))?;
    let (server, answers) = (Arc::new(server), Arc::new(AtomicUsize::new(0)));
    for _ in 0..THREADS {
        let (server, answers) = (server.clone(), answers.clone());
        thread::Builder::new().spawn(move || {
            loop {
                if let Err(error) = server.recv().and_then(answer) {
                    complain(format_args!(
                        "tiny_http has ended: {}",
                        reason(&error)
                    ));
                    process::exit(1);
                }
                answers.fetch_add(1, Ordering::Relaxed);
            }
        })?;
    }
    Ok(answers)
}
// ANCHOR_END: serve

// ANCHOR: serve_to_the_end
/// The parent is gone. The threads go on for a while, and then the process ends with them.
///
/// Some requests may be lost here: tiny_http cannot stop accepting. Chapter 5 can.
fn serve_to_the_end(answers: &AtomicUsize) {
    let end = Instant::now() + DRAIN_LIMIT;
    let mut before = answers.load(Ordering::Relaxed);
    while Instant::now() < end {
        thread::sleep(IDLE_LIMIT);
        let now = answers.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}
// ANCHOR_END: serve_to_the_end

// ANCHOR: answer
fn answer(request: tiny_http::Request) -> io::Result<()> {
    let text = format!("handled by child, pid is {}\n", process::id());
    let plain =
        Header::from_bytes("Content-Type", "text/plain").expect("a valid header");
    // Only this client can be at fault, and it is gone.
    let _ = request.respond(Response::from_string(text).with_header(plain));
    Ok(())
}
// ANCHOR_END: answer

// ANCHOR: make_use_of
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
            let (_, sender) =
                when_ready(&socket, || socket.recv_from(&mut [0; 1500]))?;
            socket.send_to(sentence.as_bytes(), sender).map(drop)
        }
        Kind::Pipe => File::from(fd).write_all(sentence.as_bytes()),
        Kind::Other => Err(ErrorKind::Unsupported.into()),
    }
}
// ANCHOR_END: make_use_of

fn say_on(mut stream: impl Write, sentence: &str) -> io::Result<()> {
    stream.write_all(sentence.as_bytes())
}

/// Waits until `fd` can be read, then makes the `call` that reads it.
fn when_ready<T>(
    fd: &impl AsFd,
    call: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let until = Instant::now() + ANSWER_TIMEOUT;
    if wait_for(fd, PollFlags::POLLIN, Some(until))? {
        call()
    } else {
        Err(ErrorKind::TimedOut.into())
    }
}
