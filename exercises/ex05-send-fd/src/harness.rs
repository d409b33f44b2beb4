//! Given: two processes with a Unix stream between them, and what they do with what is sent.

use std::env;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{self, Command, ExitCode, Stdio};

use ch01_fork_ipc::{Child, inherited_channel};
use nix::sys::resource::{Resource, setrlimit};

use crate::solution::{Message, receive, send};

const USAGE: &str = "\
Usage: ex05-send-fd FILE...           opens each FILE, and sends it to a child that reads it
       ex05-send-fd receive [--full]  a child: receives, and uses what has come (needs a channel);
                                      --full: with no descriptor number free
       ex05-send-fd send              a child: accepts a connection, and sends it (needs a channel)
";

pub fn run() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        [] | ["--help"] => return usage(),
        ["receive"] => channel().and_then(receive_all),
        ["receive", "--full"] => {
            channel().and_then(fill_table).and_then(receive_all)
        }
        ["send"] => channel().and_then(send_a_connection),
        _ => send_files(&words),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> ExitCode {
    eprint!("{USAGE}");
    ExitCode::from(2)
}

/// The stream to our parent: chapter 1.
fn channel() -> io::Result<UnixStream> {
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    unsafe { inherited_channel() }.map_err(io::Error::other)
}

/// The parent: starts a child, and sends it each of these files, open.
fn send_files(names: &[&str]) -> io::Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("receive");
    let (mut child, stream) = Child::spawn(command)?;
    for name in names {
        let file = File::open(name)
            .map_err(|why| io::Error::other(format!("{name}: {why}")))?;
        println!("{}: sends {name}", process::id());
        send(&stream, format!("read {name}").as_bytes(), Some(file.into()))?;
    }
    drop(stream);
    child.wait().map(drop)
}

/// A child: receives, until the other side ends the stream.
fn receive_all(socket: UnixStream) -> io::Result<()> {
    let (mut kept, mut errors) = (Vec::new(), 0);
    while errors < 10 {
        match receive(&socket) {
            Ok(message) if message.bytes.is_empty() => {
                println!("{}: the stream has ended", process::id());
                return Ok(());
            }
            Ok(message) if message.bytes.contains(&0) => {
                let all = message.bytes.len();
                return Err(io::Error::other(format!(
                    "receive(…) returns {all} bytes, and some of them are 0, which nobody sends here. \
                     How many bytes has recvmsg(2) brought?"
                )));
            }
            Ok(message) => kept.extend(make_use_of(message)?),
            Err(why) => {
                println!("{}: error: {why}", process::id());
                errors += 1;
            }
        }
    }
    Err(io::Error::other("one error after another"))
}

/// Does what the message says with the descriptor that came with it. What is returned stays open.
fn make_use_of(message: Message) -> io::Result<Vec<OwnedFd>> {
    let me = process::id();
    let text = String::from_utf8_lossy(&message.bytes).into_owned();
    let Some(fd) = message.fd else {
        println!("{me}: received \"{text}\" and no descriptor");
        return Ok(Vec::new());
    };
    println!("{me}: received \"{text}\" and descriptor {}", fd.as_raw_fd());
    match text.split(' ').next() {
        Some("read") => {
            let mut contents = String::new();
            File::from(fd).read_to_string(&mut contents)?;
            println!("{me}: it says: {}", contents.trim_end());
            Ok(Vec::new())
        }
        Some("write") => {
            writeln!(File::from(fd), "written by {me}")?;
            println!("{me}: written and closed");
            Ok(Vec::new())
        }
        Some("start") => {
            // Its standard input ends with us, and so does it.
            let cat = Command::new("cat").stdin(Stdio::piped()).spawn()?;
            println!("{me}: started {}", cat.id());
            Ok(vec![fd, cat.stdin.expect("it is piped").into()])
        }
        _ => Ok(vec![fd]),
    }
}

/// A child: accepts a connection, sends it to the parent, and stays.
fn send_a_connection(mut socket: UnixStream) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening on http://{}", listener.local_addr()?);
    let (connection, _) = listener.accept()?;
    send(&socket, b"a connection", Some(connection.into()))?;
    println!("{}: has sent a connection", process::id());
    send(&socket, b"and nothing more", None)?;
    println!("{}: has sent a message without", process::id());
    // Until the other side ends the stream.
    io::copy(&mut socket, &mut io::sink()).map(drop)
}

/// Allows this process no descriptor more than it has.
fn fill_table(socket: UnixStream) -> io::Result<UnixStream> {
    // dup(2) takes the lowest number that is free.
    let lowest = socket.as_fd().try_clone_to_owned()?.as_raw_fd() as u64;
    setrlimit(Resource::RLIMIT_NOFILE, lowest, lowest)?;
    Ok(socket)
}
