//! Step 2: one thread serves many connections, and keeps them.

use std::collections::HashMap;
use std::env;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::process;

use nix::sys::epoll::{
    Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout,
};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    loop {
        // SAFETY: the parent has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => println!("{:?}", waitpid(child, None)?),
            ForkResult::Child => {
                set_pdeathsig(Signal::SIGKILL)?;
                println!("worker {} exits: {:?}", process::id(), work(&listener));
                process::exit(1);
            }
        }
    }
}

const LISTENER: u64 = u64::MAX;

fn work(listener: &TcpListener) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut clients: HashMap<u64, TcpStream> = HashMap::new();
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let count = epoll.wait(&mut events, EpollTimeout::NONE)?;
        for token in events[..count].iter().map(EpollEvent::data) {
            if token == LISTENER {
                let (client, _) = listener.accept()?;
                let token = client.as_raw_fd() as u64;
                epoll.add(&client, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
                clients.insert(token, client);
            } else if answer(&clients[&token]).is_err() {
                clients.remove(&token); // this closes it, and epoll forgets it
            }
        }
    }
}

/// Answers one request. The connection stays open for the next one.
fn answer(mut client: &TcpStream) -> io::Result<()> {
    if client.read(&mut [0; 4096])? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let text = format!("handled by {}\n", process::id());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
    client.write_all((head + &text).as_bytes())
}
