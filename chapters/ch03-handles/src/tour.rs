// ANCHOR: head
//! The tour: one handle of each type goes to a child, which writes through it.
//!
//! The parent keeps the other end of each handle, and checks what it reads there.

use std::{
    env,
    fs::{self, File},
    io::{self, ErrorKind, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    process::{self, Command, ExitCode},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use ch01_fork_ipc::{Child, ExitStatus};
use ch02_balance::{Received, poll_tokens};
use ch03_handles::{Handle, HandleChannel, Kind};
use cli::say;
use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags},
    sys::signal::Signal,
};
use serde_json::{Value, json};
// ANCHOR_END: head

// ANCHOR: stop
/// How long the other process may take for each handle.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How long it may take to exit once its channel is closed…
const EXIT_LIMIT: Duration = Duration::from_secs(2);

/// …and how often it is looked at. Chapter 4 is told when a child exits.
const REAP_PERIOD: Duration = Duration::from_millis(10);

/// One stop of the tour: a handle to send.
struct Stop {
    name: &'static str,
    handle: Handle,
    /// Reads, at the other end of the handle, what the child writes.
    read: Box<dyn FnOnce() -> io::Result<String>>,
}
// ANCHOR_END: stop

// ANCHOR: run
/// The parent's side. Fails if the child does not report and use each handle.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    let (mut child, stream) =
        Child::spawn(command).with_context(|| format!("cannot start {program}"))?;
    let mut channel =
        HandleChannel::new(stream).context("cannot use the channel")?;

    for Stop { name, handle, read } in stops()? {
        let node_type = handle.node_type();
        channel
            .send_handle(Value::from(name), handle)
            .map_err(|not_sent| not_sent.error)
            .with_context(|| format!("{name}: not sent"))?;
        let report =
            receive(&mut channel).with_context(|| format!("{name}: no report"))?;
        let is = report["is"].as_str().unwrap_or("?");
        let text =
            read().with_context(|| format!("{name}: the child does not use it"))?;
        let text = text.trim_end();
        say(format_args!(
            "{name:13} sent as {node_type:14} the child says it is {is}"
        ));
        say(format_args!("{:13} and through it: {text}", ""));
        let message = &report["message"];
        ensure!(message == name, "{name}: the child names it {message}");
        let begin = format!("{} speaks through ", child.pid());
        ensure!(
            text.starts_with(&begin),
            "{name}: expected '{begin}…', not '{text}'"
        );
    }

    drop(channel);
    let status = wait_for_exit(&mut child)?;
    ensure!(status == ExitStatus::Exited(0), "the child {status}");
    say("each handle arrived as what it is, and works");
    Ok(ExitCode::SUCCESS)
}
// ANCHOR_END: run

// ANCHOR: wait_for_exit
/// Blocks until the child exits. Kills it if that takes too long.
fn wait_for_exit(child: &mut Child) -> io::Result<ExitStatus> {
    let kill_at = Instant::now() + EXIT_LIMIT;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if kill_at <= Instant::now() {
            child.kill(Signal::SIGKILL)?;
            return child.wait();
        }
        thread::sleep(REAP_PERIOD);
    }
}
// ANCHOR_END: wait_for_exit

// ANCHOR: use_handle
/// The child's side: reports what `handle` is, then uses it.
pub fn use_handle(
    channel: &mut HandleChannel,
    message: Value,
    handle: Handle,
) -> anyhow::Result<()> {
    let (node_type, is) = (handle.node_type(), Kind::of(&handle)?);
    let report =
        json!({"message": message, "type": node_type, "is": is.to_string()});
    channel.send(&report).context("cannot report a handle")?;
    speak_through(handle.into(), is).with_context(|| format!("cannot use {is}"))
}
// ANCHOR_END: use_handle

// ANCHOR: speak_through
/// Writes a sentence through `fd`: on a connection at once, on a listener to the
/// first client, on a UDP socket to the sender of the first datagram.
fn speak_through(fd: OwnedFd, is: Kind) -> io::Result<()> {
    // Another process may accept the client first: then accept(2) must not block.
    fcntl(&fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    let text = format!("{} speaks through {is}\n", process::id());
    let mut stream: Box<dyn Write> = match is {
        Kind::Tcp => Box::new(TcpStream::from(fd)),
        Kind::Unix => Box::new(UnixStream::from(fd)),
        Kind::Pipe => Box::new(File::from(fd)),
        Kind::TcpListener => {
            wait_for(&fd, PollFlags::POLLIN)?;
            Box::new(TcpListener::from(fd).accept()?.0)
        }
        Kind::UnixListener => {
            wait_for(&fd, PollFlags::POLLIN)?;
            Box::new(UnixListener::from(fd).accept()?.0)
        }
        Kind::Udp => {
            wait_for(&fd, PollFlags::POLLIN)?;
            let socket = UdpSocket::from(fd);
            let (_, sender) = socket.recv_from(&mut [0; 1500])?;
            return socket.send_to(text.as_bytes(), sender).map(drop);
        }
        Kind::Other => return Err(ErrorKind::Unsupported.into()),
    };
    stream.write_all(text.as_bytes())
}
// ANCHOR_END: speak_through

// ANCHOR: stops
/// One handle of each of Node's types.
fn stops() -> anyhow::Result<Vec<Stop>> {
    let mut stops = Vec::new();
    let mut add = |name, handle, read| stops.push(Stop { name, handle, read });

    let (ours, theirs) = tcp_pair().context("cannot make a TCP connection")?;
    add("TCP socket", Handle::Tcp(theirs), Box::new(|| read_all(ours)));

    let (listener, client) =
        tcp_listener().context("cannot make a TCP listener")?;
    add(
        "TCP listener",
        Handle::TcpListener(listener),
        Box::new(|| read_all(client)),
    );

    let (ours, theirs) = UnixStream::pair().context("cannot make a Unix stream")?;
    add("Unix stream", Handle::Unix(theirs), Box::new(|| read_all(ours)));

    let (listener, client) = unix_listener()?;
    add(
        "Unix listener",
        Handle::UnixListener(listener),
        Box::new(|| read_all(client)),
    );

    let (ours, theirs) = udp_pair().context("cannot make a UDP socket")?;
    add("UDP socket", Handle::Udp(theirs), Box::new(|| ask(ours)));

    let (ours, theirs) = tcp_pair().context("cannot make a TCP connection")?;
    add("bare TCP", Handle::Native(theirs.into()), Box::new(|| read_all(ours)));

    // What Node calls a pipe is a Unix stream.
    let (ours, theirs) = UnixStream::pair().context("cannot make a Unix stream")?;
    add("bare pipe", Handle::Native(theirs.into()), Box::new(|| read_all(ours)));

    let (ours, theirs) = udp_pair().context("cannot make a UDP socket")?;
    add("bare UDP", Handle::UdpNative(theirs.into()), Box::new(|| ask(ours)));
    Ok(stops)
}
// ANCHOR_END: stops

// ANCHOR: pairs
/// A listener, and a client that waits in its backlog.
fn tcp_listener() -> io::Result<(TcpListener, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((listener, client))
}

/// Two ends of a TCP connection.
fn tcp_pair() -> io::Result<(TcpStream, TcpStream)> {
    let (listener, client) = tcp_listener()?;
    Ok((client, listener.accept()?.0))
}

/// As [`tcp_listener`]. Its name in the file system is removed at once.
fn unix_listener() -> anyhow::Result<(UnixListener, UnixStream)> {
    let folder = env::temp_dir();
    let path = folder.join(format!("ch03-handles-{}.sock", process::id()));
    // A process that had our number, and was killed here, may have left it.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path).with_context(|| {
        format!("cannot make a Unix listener in {}", folder.display())
    })?;
    let client = UnixStream::connect(&path);
    let _ = fs::remove_file(&path);
    Ok((listener, client.context("cannot connect to a Unix listener")?))
}

/// Two UDP sockets, the first connected to the second.
fn udp_pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.connect(peer.local_addr()?)?;
    Ok((socket, peer))
}
// ANCHOR_END: pairs

// ANCHOR: receive
/// The child's report: the first message that it sends.
fn receive(channel: &mut HandleChannel) -> anyhow::Result<Value> {
    loop {
        wait_for(channel, channel.interest())?;
        for received in channel.receive() {
            match received {
                Received::Message(message) => return Ok(message),
                Received::Returned(..) => bail!("the child cannot receive it"),
                Received::Ignored(why) => bail!(why),
                Received::Closed(None) => bail!("the child has closed its channel"),
                Received::Closed(Some(error)) => return Err(error.into()),
                Received::Acked | Received::Internal(_) | Received::Handle(..) => {}
            }
        }
    }
}
// ANCHOR_END: receive

// ANCHOR: read
/// Everything up to the end of the stream.
fn read_all(mut stream: impl Read + AsFd) -> io::Result<String> {
    let mut text = String::new();
    wait_for(&stream, PollFlags::POLLIN)?;
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Sends a datagram, and returns the answer.
fn ask(socket: UdpSocket) -> io::Result<String> {
    let mut reply = [0; 1500];
    socket.send(b"hello")?;
    wait_for(&socket, PollFlags::POLLIN)?;
    let length = socket.recv(&mut reply)?;
    Ok(String::from_utf8_lossy(&reply[..length]).into_owned())
}

/// Blocks until one of `events` happens; `TimedOut` after 10 s.
fn wait_for(fd: &impl AsFd, events: PollFlags) -> io::Result<()> {
    let polled = vec![((), PollFd::new(fd.as_fd(), events))];
    if poll_tokens(polled, Some(Instant::now() + TIME_LIMIT))?.is_empty() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(())
}
// ANCHOR_END: read
