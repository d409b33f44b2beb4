//! Given: what your functions return, and a program that asks them.

#![allow(dead_code, reason = "the stub does not use all of it")]

use std::fmt;
use std::io::stdin;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, iter};

use ch01_fork_ipc::inherited_channel;
use ch02_balance::{FdChannel, RawHandle, Received, poll_tokens};
use nix::libc;
use nix::poll::PollFd;
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, UnixAddr};
use serde_json::Value;

use crate::solution::{accept, describe};

const USAGE: &str = "\
Usage: ex08-handle-types            describes standard input
       ex08-handle-types receive    a child: describes what it receives, and accepts or refuses it
                                    for the purpose in its message (needs a channel)
";

/// What the kernel tells about a descriptor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// What it refers to.
    pub kind: Kind,
    /// Whether it was opened for reading.
    pub readable: bool,
    /// Whether it was opened for writing.
    pub writable: bool,
    /// Whether read(2) and accept(2) wait if there is nothing to read or to accept.
    pub blocks: bool,
    /// The address of our end, if it is a socket.
    pub local: Option<Address>,
    /// The address of the other end, if it is a socket that is connected.
    pub peer: Option<Address>,
}

/// What a descriptor can refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// One end of a pipe(7), or a FIFO.
    Pipe,
    /// A terminal.
    Terminal,
    /// A character device that is no terminal, such as `/dev/null`.
    Device,
    /// A socket of the type `SOCK_STREAM` that does not listen: TCP or Unix.
    Stream,
    /// A socket of the type `SOCK_STREAM` that listens.
    Listener,
    /// A socket of the type `SOCK_DGRAM`: UDP or Unix.
    Datagram,
    /// A directory, a socket of another type, and whatever else there is.
    Other,
}

/// The address of a socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Of a TCP or UDP socket.
    Ip(SocketAddr),
    /// Of a Unix socket with a name in the file system.
    Path(PathBuf),
    /// Of a Unix socket without such a name, and of every other socket.
    Unnamed,
}

/// What a descriptor is to be used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To read bytes from it.
    Read,
    /// To write bytes to it.
    Write,
    /// To accept connections from it.
    Accept,
}

impl From<SockaddrStorage> for Address {
    fn from(storage: SockaddrStorage) -> Address {
        let pointer = storage.as_ptr();
        match storage.family() {
            Some(AddressFamily::Inet) => {
                // SAFETY: that is the type of an address of this family (ip(7)).
                let v4 = unsafe { *pointer.cast::<libc::sockaddr_in>() };
                let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Address::Ip((ip, u16::from_be(v4.sin_port)).into())
            }
            Some(AddressFamily::Inet6) => {
                // SAFETY: that is the type of an address of this family (ipv6(7)).
                let v6 = unsafe { *pointer.cast::<libc::sockaddr_in6>() };
                let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
                Address::Ip((ip, u16::from_be(v6.sin6_port)).into())
            }
            _ => {
                let path = storage.as_unix_addr().and_then(UnixAddr::path);
                path.map_or(Address::Unnamed, |path| Address::Path(path.to_owned()))
            }
        }
    }
}

pub fn run() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words[..] {
        [] => describe_stdin(),
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

fn describe_stdin() -> anyhow::Result<()> {
    println!("{}", describe(stdin().as_fd())?);
    Ok(())
}

/// The child. What it accepts stays open.
fn receive() -> anyhow::Result<()> {
    // SAFETY: no thread has been started yet, and no descriptor opened.
    let mut channel = FdChannel::new(unsafe { inherited_channel() }?, 1)?;
    let mut accepted = Vec::new();
    loop {
        let fd = PollFd::new(channel.as_fd(), channel.interest());
        poll_tokens(vec![((), fd)], None)?;
        for received in channel.receive() {
            match received {
                Received::Handle(message, handle) => {
                    accepted.extend(on_handle(&message, handle)?);
                }
                Received::Closed(_) => return Ok(()),
                _ => {}
            }
        }
    }
}

/// The message is a purpose, or else the descriptor is described and closed.
fn on_handle(
    message: &Value,
    handle: RawHandle,
) -> anyhow::Result<Option<OwnedFd>> {
    let purpose = match message.as_str() {
        Some("read") => Purpose::Read,
        Some("write") => Purpose::Write,
        Some("accept") => Purpose::Accept,
        _ => {
            println!("described: {}", describe(handle.fd.as_fd())?);
            return Ok(None);
        }
    };
    let accepted = accept(handle.fd, purpose);
    match &accepted {
        Some(fd) => println!("accepted: descriptor {}", fd.as_raw_fd()),
        None => println!("refused"),
    }
    Ok(accepted)
}

/// `a stream socket, read and write, blocks, local 127.0.0.1:1337, peer
/// 127.0.0.1:40001`
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match (self.readable, self.writable) {
            (true, true) => "read and write",
            (true, false) => "read",
            (false, true) => "write",
            (false, false) => "neither read nor write",
        };
        let blocks = if self.blocks { "blocks" } else { "does not block" };
        write!(f, "{}, {access}, {blocks}", self.kind)?;
        let ends = iter::zip(["local", "peer"], [&self.local, &self.peer]);
        for (end, address) in ends {
            if let Some(address) = address {
                write!(f, ", {end} {address}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::File => "a file",
            Kind::Pipe => "a pipe",
            Kind::Terminal => "a terminal",
            Kind::Device => "a device",
            Kind::Stream => "a stream socket",
            Kind::Listener => "a listener",
            Kind::Datagram => "a datagram socket",
            Kind::Other => "something else",
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Path(path) => path.display().fmt(f),
            Address::Unnamed => f.write_str("unnamed"),
        }
    }
}
