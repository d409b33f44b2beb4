//! Step 2: SIGHUP replaces the workers one by one, and a bad file changes nothing.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown::Both, TcpListener, TcpStream};
use std::os::{fd::AsFd, unix::net::UnixStream};
use std::{env, fs, process, thread, time::Duration};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigHandler, SigSet, Signal, signal};
use nix::unistd::{ForkResult, fork};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    listener.set_nonblocking(true)?; // poll wakes every worker, but one can accept
    // SAFETY: no handler runs. From now on the kernel reaps the workers.
    unsafe { signal(Signal::SIGCHLD, SigHandler::SigIgn) }?;
    let signals = SigSet::from_iter([Signal::SIGHUP]);
    signals.thread_block()?; // SIGHUP is kept until we ask for it
    let mut workers = [start_worker(&listener)?, start_worker(&listener)?];
    loop {
        signals.wait()?;
        for worker in &mut workers {
            let Ok(successor) = start_worker(&listener) else { break };
            worker.shutdown(Both)?; // the old worker drains
            *worker = successor;
        }
    }
}

/// Returns the channel to the worker once that is ready.
fn start_worker(listener: &TcpListener) -> io::Result<UnixStream> {
    let (mut ours, theirs) = UnixStream::pair()?;
    // SAFETY: the parent has one thread.
    if let ForkResult::Child = unsafe { fork() }? {
        set_pdeathsig(Signal::SIGKILL)?;
        drop(ours); // if the parent died before set_pdeathsig, `theirs` ends now
        println!("worker {} exits: {:?}", process::id(), work(listener, theirs));
        process::exit(0);
    }
    drop(theirs); // so that the channel ends when the worker exits
    ours.read_exact(&mut [0])?;
    Ok(ours)
}

fn work(listener: &TcpListener, mut channel: UnixStream) -> io::Result<()> {
    let greeting = fs::read_to_string("greeting.txt")?;
    thread::sleep(Duration::from_millis(200)); // it could be a thousand files
    println!("worker {} is ready", process::id());
    channel.write_all(b"!")?;
    let fds = [channel.as_fd(), listener.as_fd()];
    let mut fds = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN));
    thread::scope(|scope| {
        while poll(&mut fds, PollTimeout::NONE)? > 0 && fds[0].any() == Some(false)
        {
            if let Ok((client, _)) = listener.accept() {
                scope.spawn(|| answer(client, &greeting));
            }
        }
        Ok(())
    })
}

fn answer(mut client: TcpStream, greeting: &str) -> io::Result<()> {
    let mut head = BufReader::new(&client).lines().map_while(Result::ok);
    head.find(String::is_empty).ok_or(io::ErrorKind::UnexpectedEof)?;
    client.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{greeting}").as_bytes())
}
