//! Given: asks your functions about standard input, or about what comes over a channel.

use std::env;
use std::fmt;
use std::io::stdin;
use std::os::fd::{AsFd, AsRawFd};
use std::process::ExitCode;

use ch01_fork_ipc::inherited_channel;
use ch02_balance::{FdChannel, Incoming, wait_for};

use crate::solution::{accept, kind_of};

const USAGE: &str = "\
Usage: ex08-handle-types            tells what standard input is
       ex08-handle-types receive    a child: accepts or refuses what it is sent (needs a channel)
";

/// The kinds that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A TCP connection, or a TCP socket that could become one.
    Tcp,
    /// A TCP socket that listens.
    TcpListener,
    /// A Unix stream socket.
    Unix,
    /// A Unix stream socket that listens.
    UnixListener,
    /// A UDP socket.
    Udp,
    /// One end of a pipe(7), or a FIFO.
    Pipe,
    /// A regular file.
    File,
    /// A terminal.
    Terminal,
    /// A directory, `/dev/null`, any other socket, and whatever else there is.
    Other,
}

const NAMES: [(Kind, &str); 9] = [
    (Kind::Tcp, "a TCP socket"),
    (Kind::TcpListener, "a TCP listener"),
    (Kind::Unix, "a Unix stream"),
    (Kind::UnixListener, "a Unix listener"),
    (Kind::Udp, "a UDP socket"),
    (Kind::Pipe, "a pipe"),
    (Kind::File, "a file"),
    (Kind::Terminal, "a terminal"),
    (Kind::Other, "something else"),
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES
            .iter()
            .find(|(kind, _)| kind == self)
            .map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

pub fn run() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        [] => tell(),
        ["receive"] => receive(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tell() -> anyhow::Result<()> {
    println!("standard input is {}", kind_of(stdin().as_fd())?);
    Ok(())
}

fn receive() -> anyhow::Result<()> {
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    let mut channel = FdChannel::new(unsafe { inherited_channel() }?)?;
    let mut kept = Vec::new();
    loop {
        match channel.recv() {
            Ok(Some(Incoming::Passed(passed))) => {
                match accept(&passed.kind, passed.fd) {
                    Ok((kind, fd)) => {
                        println!(
                            "{}: accepted {kind}, descriptor {}",
                            passed.kind,
                            fd.as_raw_fd()
                        );
                        kept.push(fd);
                    }
                    Err(kind) => println!("{}: refused {kind}", passed.kind),
                }
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(error) if error.would_block() => {
                wait_for(&channel, channel.interest(), None)?;
            }
            Err(error) => return Err(error.into()),
        }
    }
}
