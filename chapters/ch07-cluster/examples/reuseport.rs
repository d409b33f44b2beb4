//! Step 1: two workers, each with a listener of its own on the same port.

use std::env;
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpListener};
use std::os::fd::AsRawFd;
use std::process;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::socket::sockopt::{ReuseAddr, ReusePort};
use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, SockaddrIn};
use nix::sys::socket::{bind, listen, setsockopt, socket};
use nix::sys::wait::wait;
use nix::unistd::{ForkResult, fork};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let mut address: SocketAddrV4 = address.parse().map_err(io::Error::other)?;
    let first = open(address)?;
    address.set_port(first.local_addr()?.port());
    println!("listening on http://{address}");
    start_worker(first)?;
    start_worker(open(address)?)?;
    loop {
        println!("{:?}", wait()?);
    }
}

/// A listener that allows others on the same port. This must be set before bind(2).
fn open(address: SocketAddrV4) -> io::Result<TcpListener> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let fd = socket(AddressFamily::Inet, SockType::Stream, flags, None)?;
    setsockopt(&fd, ReuseAddr, &true)?;
    setsockopt(&fd, ReusePort, &true)?;
    bind(fd.as_raw_fd(), &SockaddrIn::from(address))?;
    listen(&fd, Backlog::MAXCONN)?;
    Ok(fd.into())
}

/// The parent closes its copy of the listener: only the worker has it.
fn start_worker(listener: TcpListener) -> io::Result<()> {
    // SAFETY: the parent has one thread.
    if let ForkResult::Child = unsafe { fork() }? {
        set_pdeathsig(Signal::SIGKILL)?;
        println!("worker {} exits: {:?}", process::id(), work(&listener));
        process::exit(1);
    }
    Ok(())
}

fn work(listener: &TcpListener) -> io::Result<()> {
    loop {
        let (mut client, _) = listener.accept()?;
        let _request = client.read(&mut [0; 4096])?;
        let text = format!("handled by {}\n", process::id());
        client.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{text}").as_bytes())?;
    }
}
