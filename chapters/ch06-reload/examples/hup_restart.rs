//! Step 1: SIGHUP ends all workers and starts new ones, which read the greeting.

use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process;
use std::thread;
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, Pid, fork, getpid, getppid};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
    let signals = SigSet::from_iter([Signal::SIGHUP]);
    signals.thread_block()?; // SIGHUP terminates no process, it is only noted
    loop {
        let workers = [start_worker(&listener)?, start_worker(&listener)?];
        signals.wait()?;
        for worker in workers {
            kill(worker, Signal::SIGTERM)?;
        }
        for worker in workers {
            println!("{:?}", waitpid(worker, None)?);
        }
    }
}

fn start_worker(listener: &TcpListener) -> io::Result<Pid> {
    let parent = getpid();
    // SAFETY: the parent has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => Ok(child),
        ForkResult::Child => {
            set_pdeathsig(Signal::SIGKILL)?;
            if getppid() == parent {
                println!("worker {} exits: {:?}", process::id(), work(listener));
            }
            process::exit(1);
        }
    }
}

fn work(listener: &TcpListener) -> io::Result<()> {
    let greeting = fs::read_to_string("greeting.txt")?;
    thread::sleep(Duration::from_millis(200)); // it could be a thousand files
    thread::scope(|scope| {
        loop {
            let (client, _) = listener.accept()?;
            scope.spawn(|| answer(client, &greeting));
        }
    })
}

fn answer(mut client: TcpStream, greeting: &str) -> io::Result<()> {
    let mut head = BufReader::new(&client).lines().map_while(Result::ok);
    head.find(String::is_empty).ok_or(io::ErrorKind::UnexpectedEof)?;
    client.write_all(format!("HTTP/1.0 200 OK\r\n\r\n{greeting}").as_bytes())
}
