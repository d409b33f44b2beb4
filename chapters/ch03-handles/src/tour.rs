//! One handle of each type, to a child that uses it. The parent holds the other end of each, and
//! checks what comes out of it.

use std::{
    env, fs,
    io::{self, ErrorKind, Read},
    net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
    process::{self, Command, ExitCode},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use ch01_fork_ipc::{Child, ExitStatus};
use ch02_balance::{Received, poll_tokens};
use ch03_handles::{Handle, HandleChannel};
use cli::say;
use nix::poll::{PollFd, PollFlags};
use serde_json::Value;

/// How long the child may take for each.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A handle to send, and how to hear, at its other end, what the child does with it.
type Stop = (&'static str, Handle, Box<dyn FnOnce() -> io::Result<String>>);

/// Makes the tour. It ends with 1 if an answer is not what it should be.
pub fn run(command: Command) -> anyhow::Result<ExitCode> {
    let program = command.get_program().to_string_lossy().into_owned();
    let (mut child, stream) =
        Child::spawn(command).with_context(|| format!("cannot start {program}"))?;
    let mut channel = HandleChannel::new(stream)?;

    for (name, handle, hear) in stops()? {
        let kind = handle.node_type();
        let sent = channel.send_handle(Value::from(name), handle);
        sent.map_err(|not_sent| not_sent.error)
            .with_context(|| format!("{name}: not sent"))?;
        let report =
            report(&mut channel).with_context(|| format!("{name}: no report"))?;
        let is = report["is"].as_str();
        let heard =
            hear().with_context(|| format!("{name}: the child does not use it"))?;
        say(format_args!(
            "{name:13} sent as {kind:14} the child says it is {}",
            is.unwrap_or("?")
        ));
        say(format_args!("{:13} and through it: {}", "", heard.trim_end()));
        ensure!(
            report["message"] == name,
            "{name}: the child names it {}",
            report["message"]
        );
        let speaker = format!("{} speaks through ", child.pid());
        ensure!(
            heard.starts_with(&speaker),
            "{name}: expected '{speaker}…', heard '{}'",
            heard.trim_end()
        );
    }

    drop(channel);
    let status = child.wait()?;
    ensure!(status == ExitStatus::Exited(0), "the child {status}");
    say("each handle arrived as what it is, and works");
    Ok(ExitCode::SUCCESS)
}

/// Each of Node's types.
fn stops() -> io::Result<Vec<Stop>> {
    let (tcp, tcp_peer) = tcp_pair()?;
    let (bare_tcp, bare_tcp_peer) = tcp_pair()?;
    let (unix, unix_peer) = UnixStream::pair()?;
    // What Node calls a pipe is a Unix stream.
    let (pipe, pipe_peer) = UnixStream::pair()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let (unix_listener, unix_client) = unix_pair()?;
    let (udp, udp_peer) = udp_pair()?;
    let (bare_udp, bare_udp_peer) = udp_pair()?;
    Ok(vec![
        ("TCP socket", Handle::Tcp(tcp), Box::new(|| read(tcp_peer))),
        (
            "TCP listener",
            Handle::TcpListener(listener),
            Box::new(move || read(TcpStream::connect(address)?)),
        ),
        ("Unix stream", Handle::Unix(unix), Box::new(|| read(unix_peer))),
        (
            "Unix listener",
            Handle::UnixListener(unix_listener),
            Box::new(|| read(unix_client)),
        ),
        ("UDP socket", Handle::Udp(udp), Box::new(|| ask(udp_peer))),
        (
            "bare TCP",
            Handle::Native(bare_tcp.into()),
            Box::new(|| read(bare_tcp_peer)),
        ),
        ("bare pipe", Handle::Native(pipe.into()), Box::new(|| read(pipe_peer))),
        (
            "bare UDP",
            Handle::UdpNative(bare_udp.into()),
            Box::new(|| ask(bare_udp_peer)),
        ),
    ])
}

fn tcp_pair() -> io::Result<(TcpStream, TcpStream)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let client = TcpStream::connect(listener.local_addr()?)?;
    Ok((listener.accept()?.0, client))
}

/// A listener, and a client that waits in its backlog. It has a name in the file system for so long
/// only.
fn unix_pair() -> io::Result<(UnixListener, UnixStream)> {
    let path = env::temp_dir().join(format!("ch03-handles-{}.sock", process::id()));
    // One that was killed at this very moment may have left it.
    let _ = fs::remove_file(&path);
    let listener = UnixListener::bind(&path)?;
    let client = UnixStream::connect(&path);
    fs::remove_file(&path)?;
    Ok((listener, client?))
}

fn udp_pair() -> io::Result<(UdpSocket, UdpSocket)> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let peer = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    peer.connect(socket.local_addr()?)?;
    Ok((socket, peer))
}

/// What the child says about the handle: the first message that it sends.
fn report(channel: &mut HandleChannel) -> anyhow::Result<Value> {
    loop {
        let interest = channel.interest();
        expect(channel, interest)?;
        for received in channel.receive() {
            match received {
                Received::Message(message) => return Ok(message),
                Received::Returned(..) => bail!("the child cannot take it"),
                Received::Closed(None) => bail!("the child has closed its channel"),
                Received::Closed(Some(error)) => return Err(error.into()),
                Received::Ignored(why) => bail!(why),
                Received::Acked | Received::Handle(..) => {}
            }
        }
    }
}

/// All that comes, to the end of the stream.
fn read(mut stream: impl Read + AsFd) -> io::Result<String> {
    let mut text = String::new();
    expect(&stream, PollFlags::POLLIN)?;
    stream.read_to_string(&mut text)?;
    Ok(text)
}

/// Sends a datagram and takes the answer.
fn ask(socket: UdpSocket) -> io::Result<String> {
    let mut answer = [0; 1500];
    socket.send(b"hello")?;
    expect(&socket, PollFlags::POLLIN)?;
    let read = socket.recv(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..read]).into_owned())
}

/// Waits until `events` can be done.
fn expect(fd: &impl AsFd, events: PollFlags) -> io::Result<()> {
    let until = Instant::now() + ANSWER_TIMEOUT;
    if poll_tokens(vec![((), PollFd::new(fd.as_fd(), events))], Some(until))?
        .is_empty()
    {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(())
}
