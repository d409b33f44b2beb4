//! Given: processes with a Unix stream between them, and what they send.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::process::{self, Command, ExitCode, ExitStatus, Stdio};

use ch01_fork_ipc::{Child, inherited_channel};
use nix::libc;
use nix::sys::resource::{Resource, setrlimit};

use crate::solution::{Message, receive, send};

const USAGE: &str = "\
Usage: ex05-send-fd COMMAND     has another process run COMMAND with the standard streams of this one
       ex05-send-fd runner      that process: runs the commands that it receives (needs a channel)

For the tests (these need a channel, too):
       ex05-send-fd receive [--room N]   uses what it receives; with N free descriptor numbers
       ex05-send-fd send FILE...         opens each FILE, and sends all of them in one message
       ex05-send-fd send --too-many      tries to send 254 descriptors in one message
";

/// The descriptor numbers that recvmsg(2) has put into `control`, its buffer for
/// control messages: after a header with their length (cmsg(3)).
///
/// If the kernel cut the list off, these are the descriptors that it did open.
/// nix's `cmsgs()` returns an error then, and does not show them.
///
/// The buffer must have been new for that call, or filled with zeros.
#[allow(dead_code, reason = "the stub does not use it")]
pub fn numbers(control: &[u8]) -> Vec<RawFd> {
    if control.len() < size_of::<libc::cmsghdr>() {
        return Vec::new();
    }
    // SAFETY: the buffer is long enough, and any bytes make a header.
    let header: libc::cmsghdr =
        unsafe { std::ptr::read_unaligned(control.as_ptr().cast()) };
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_RIGHTS)
    {
        return Vec::new();
    }
    // SAFETY: it only computes where the numbers begin.
    let begin = unsafe { libc::CMSG_LEN(0) } as usize;
    let numbers = control.get(begin..header.cmsg_len as usize).unwrap_or_default();
    let numbers = numbers.chunks_exact(4).filter_map(|bytes| bytes.try_into().ok());
    numbers.map(RawFd::from_ne_bytes).collect()
}

pub fn run() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        ["runner"] => channel().and_then(run_commands),
        ["receive"] => channel().and_then(receive_all),
        ["receive", "--room", room] => {
            channel().and_then(|it| leave_room(it, room)).and_then(receive_all)
        }
        ["send", "--too-many"] => channel().and_then(send_too_many),
        ["send", ref names @ ..] => channel().and_then(|it| send_files(it, names)),
        [command] if !command.starts_with('-') => run_elsewhere(command),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", process::id());
            ExitCode::FAILURE
        }
    }
}

/// The stream to our parent: chapter 1.
fn channel() -> io::Result<UnixStream> {
    // SAFETY: no thread has been started yet, and no descriptor opened.
    unsafe { inherited_channel() }.map_err(io::Error::other)
}

/// Starts a runner, which has no terminal and no files, and sends it a command and
/// our three standard streams.
fn run_elsewhere(command: &str) -> io::Result<()> {
    let mut runner = Command::new(env::current_exe()?);
    runner.arg("runner").stdin(Stdio::null()).stdout(Stdio::null());
    let (mut child, stream) = Child::spawn(runner)?;
    let streams = vec![
        io::stdin().as_fd().try_clone_to_owned()?,
        io::stdout().as_fd().try_clone_to_owned()?,
        io::stderr().as_fd().try_clone_to_owned()?,
    ];
    send(&stream, command.as_bytes(), streams)?;
    let reply = receive(&stream)?;
    let reply = String::from_utf8_lossy(&reply.bytes);
    eprintln!("{}: process {} replies: {reply}", process::id(), child.pid());
    drop(stream);
    child.wait().map(drop)
}

/// The runner: runs the commands that it receives, until the stream ends.
fn run_commands(socket: UnixStream) -> io::Result<()> {
    loop {
        let message = receive(&socket)?;
        if message.bytes.is_empty() {
            return Ok(());
        }
        let reply = match run_command(message) {
            Ok(status) => status.to_string(),
            Err(error) => format!("error: {error}"),
        };
        send(&socket, reply.as_bytes(), Vec::new())?;
    }
}

/// Runs a command with the three descriptors that were sent beside it.
fn run_command(message: Message) -> io::Result<ExitStatus> {
    let few = |fds: Vec<OwnedFd>| {
        let count = fds.len();
        io::Error::other(format!("expected 3 descriptors, received {count}"))
    };
    let [input, output, error] = message.fds.try_into().map_err(few)?;
    let mut command = Command::new("sh");
    command.arg("-c").arg(OsString::from_vec(message.bytes));
    command.stdin(input).stdout(output).stderr(error).status()
}

/// Prints and uses what arrives, until the stream ends.
fn receive_all(socket: UnixStream) -> io::Result<()> {
    let mut kept = Vec::new();
    for _ in 0..100 {
        match receive(&socket) {
            Ok(message) if message.bytes.is_empty() => {
                println!("{}: end of the stream", process::id());
                return Ok(());
            }
            Ok(message) => kept.extend(make_use_of(message)?),
            Err(error) => println!("{}: error: {error}", process::id()),
        }
    }
    Err(io::Error::other("received 100 messages, and no end of the stream"))
}

/// Does with the descriptors what the message says. It returns what stays open.
fn make_use_of(message: Message) -> io::Result<Vec<OwnedFd>> {
    let (me, count) = (process::id(), message.fds.len());
    let text = String::from_utf8_lossy(&message.bytes);
    println!("{me}: received {text:?} and {count} descriptors");
    let mut kept = message.fds;
    match text.split(' ').next() {
        Some("write") => {
            for (index, fd) in kept.drain(..).enumerate() {
                writeln!(File::from(fd), "descriptor {index}, written by {me}")?;
            }
            println!("{me}: has written to {count} descriptors, and closed them");
        }
        Some("start") => {
            // cat runs until its standard input ends: until this process exits.
            let cat = Command::new("cat").stdin(Stdio::piped()).spawn()?;
            println!("{me}: started {}", cat.id());
            kept.push(cat.stdin.expect("it is piped").into());
        }
        _ => {}
    }
    Ok(kept)
}

/// Sends these files, open, and then a message without descriptors.
fn send_files(mut socket: UnixStream, names: &[&str]) -> io::Result<()> {
    let files = names.iter().map(|name| Ok(File::open(name)?.into()));
    let files = files.collect::<io::Result<Vec<OwnedFd>>>()?;
    send(&socket, b"some files", files)?;
    println!("{}: has sent {} files", process::id(), names.len());
    send(&socket, b"and no file", Vec::new())?;
    println!("{}: has sent a message without descriptors", process::id());
    // Blocks until the other side ends the stream.
    io::copy(&mut socket, &mut io::sink()).map(drop)
}

/// Tries to send one descriptor more than fits into a message.
fn send_too_many(mut socket: UnixStream) -> io::Result<()> {
    // In the tests, a process may have 256 descriptors. So it also sends its
    // standard input and its standard error.
    // SAFETY: this process uses neither of them afterwards.
    let mut fds = unsafe { vec![OwnedFd::from_raw_fd(0), OwnedFd::from_raw_fd(2)] };
    while fds.len() < 254 {
        fds.push(fds[0].try_clone()?);
    }
    match send(&socket, b"too many", fds) {
        Ok(()) => println!("{}: has sent them", process::id()),
        Err(error) => println!("{}: refused: {:?}", process::id(), error.kind()),
    }
    send(&socket, b"and on", Vec::new())?;
    // Blocks until the other side ends the stream.
    io::copy(&mut socket, &mut io::sink()).map(drop)
}

/// Leaves this process so many free descriptor numbers.
fn leave_room(socket: UnixStream, room: &str) -> io::Result<UnixStream> {
    let room: usize = room.parse().map_err(io::Error::other)?;
    // dup(2) takes the lowest free number: the last one here is the first too high.
    let copies = (0..=room).map(|_| socket.as_fd().try_clone_to_owned());
    let copies = copies.collect::<io::Result<Vec<OwnedFd>>>()?;
    let limit = copies[room].as_raw_fd() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, limit, limit)?;
    Ok(socket)
}
