//! Given: memory that processes share, a parent that replaces its workers, their loop,
//! and a script.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io::{self, BufRead as _, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZero;
use std::os::fd::AsFd as _;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use ch02_balance::poll_tokens;
use cli::{Options, say, wrong};
use nix::poll::{PollFd, PollFlags};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::sys::wait::wait;
use nix::unistd::{ForkResult, Pid, fork};

use crate::solution::{self, Decision};

const USAGE: &str = "\
Usage: ex21-accept-balance [--port 1337] [--workers N]   workers that share a listener
       ex21-accept-balance script                        reads what happens from standard input

The lines of a script:

  table N             a new table of N workers, of which none runs yet
  start WORKER        this worker has started
  open WORKER N       it has accepted N connections
  close WORKER N      N of its connections are closed
  exit WORKER         it has exited
  decide WORKER MS    a connection has waited for MS milliseconds: print what this worker does";

/// The most workers.
const MOST: usize = 64;

/// What all processes have in common.
struct Shared {
    open: [AtomicU32; MOST],
    /// How many connections were accepted, by all of them.
    accepted: AtomicU64,
}

pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--addr", "--port", "--workers"]);
        options.workers = 4;
        while let Some(word) = arguments.word()? {
            match &*word {
                "script" => return script(),
                word => options.take(word, &mut arguments)?,
            }
        }
        if options.workers > MOST {
            return Err(wrong(format_args!("--workers: {MOST} at most")));
        }
        let listener = options.listen()?;
        listener.set_nonblocking(true)?;
        let shared = shared_memory()?;
        parent(&listener, shared, options.workers)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// Memory that this process and all that it forks have in common (mmap(2)). It begins
/// with zeros.
fn shared_memory() -> io::Result<&'static Shared> {
    let size = NonZero::new(size_of::<Shared>()).expect("it has fields");
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: the kernel chooses a place where nothing is.
    let address =
        unsafe { mmap_anonymous(None, size, access, MapFlags::MAP_SHARED) }?;
    // SAFETY: the memory is large enough, begins at a page, and is never given back;
    // zeros are valid, and atomics may be changed by others.
    Ok(unsafe { address.cast::<Shared>().as_ref() })
}

/// Starts the workers, and replaces each that exits.
fn parent(
    listener: &TcpListener,
    shared: &'static Shared,
    count: usize,
) -> io::Result<()> {
    let table = &shared.open[..count];
    let start = |number: usize| -> io::Result<Pid> {
        // SAFETY: this process has one thread.
        match unsafe { fork() }? {
            ForkResult::Parent { child } => Ok(child),
            ForkResult::Child => {
                set_pdeathsig(Signal::SIGKILL)?;
                let end = work(listener, shared, count, number);
                cli::complain(format_args!("worker {number} exits: {end:?}"));
                process::exit(1)
            }
        }
    };
    // Before the first worker runs: none of them counts until it has started.
    (0..count).for_each(|number| solution::exited(table, number));
    let mut pids = Vec::new();
    for number in 0..count {
        pids.push(start(number)?);
    }
    let mut began = Instant::now();
    loop {
        let status = wait()?;
        let Some(number) = pids.iter().position(|it| Some(*it) == status.pid())
        else {
            continue;
        };
        solution::exited(table, number);
        say(format_args!("worker {number} has exited: {status:?}"));
        // Not a busy loop, if it exits at once.
        if began.elapsed() < Duration::from_millis(100) {
            std::thread::sleep(Duration::from_millis(100));
        }
        began = Instant::now();
        pids[number] = start(number)?;
    }
}

/// A worker: it accepts when `decide` says so, and answers on each connection until the
/// client closes it.
fn work(
    listener: &TcpListener,
    shared: &Shared,
    count: usize,
    me: usize,
) -> io::Result<()> {
    let table = &shared.open[..count];
    solution::started(table, me);
    let mut connections: Vec<TcpStream> = Vec::new();
    // Since when a connection waits, and how many had been accepted by then.
    let mut waits: Option<(Instant, u64)> = None;
    // The listener is left alone until then.
    let mut look_at: Option<Instant> = None;
    loop {
        look_at.take_if(|at| *at <= Instant::now());
        let readable = |fd| PollFd::new(fd, PollFlags::POLLIN);
        let mut fds = Vec::new();
        for (index, connection) in connections.iter().enumerate() {
            fds.push((Some(index), readable(connection.as_fd())));
        }
        if look_at.is_none() {
            fds.push((None, readable(listener.as_fd())));
        }
        // If nothing waits any more when it is looked at again, this is forgotten.
        let until = look_at.or(waits.map(|_| Instant::now()));
        let ready = poll_tokens(fds, until)?;
        let is_acceptable = ready.contains(&None);
        // From the back, so that the indices stay right.
        for index in ready.into_iter().flatten().rev() {
            if answer(&mut connections[index]).is_err() {
                connections.swap_remove(index);
                solution::closed(table, me);
            }
        }
        if look_at.is_some() {
            continue;
        }
        if !is_acceptable {
            waits = None;
            continue;
        }
        let now = Instant::now();
        let accepted = shared.accepted.load(Ordering::Relaxed);
        let since = match waits {
            Some((since, before)) if before == accepted => since,
            _ => now,
        };
        waits = Some((since, accepted));
        match solution::decide(table, me, now - since) {
            Decision::Leave(time) => look_at = Some(now + time),
            Decision::Accept => {
                waits = None;
                match listener.accept() {
                    Ok((stream, _)) => {
                        solution::opened(table, me);
                        shared.accepted.fetch_add(1, Ordering::Relaxed);
                        stream.set_nonblocking(true)?;
                        connections.push(stream);
                    }
                    // Another worker was faster.
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

/// Answers one request, which comes in one piece.
fn answer(client: &mut TcpStream) -> io::Result<()> {
    let mut request = [0; 4096];
    match client.read(&mut request) {
        Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    }
    let text = format!("handled by child, pid is {}\n", process::id());
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", text.len());
    client.write_all((head + &text).as_bytes())
}

/// Reads a script to the end of standard input.
fn script() -> anyhow::Result<ExitCode> {
    let mut table: Vec<AtomicU32> = Vec::new();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        let worker = words.get(1).and_then(|it| it.parse().ok()).unwrap_or(0);
        let number = words.get(2).and_then(|it| it.parse().ok()).unwrap_or(0);
        if words.first() != Some(&"table") && worker >= table.len() {
            return Err(wrong(format_args!("there is no worker {worker}: {line}")));
        }
        match words.first().copied().unwrap_or_default() {
            "table" => {
                table = (0..worker).map(|_| AtomicU32::new(0)).collect();
                (0..worker).for_each(|it| solution::exited(&table, it));
            }
            "start" => solution::started(&table, worker),
            "open" => (0..number).for_each(|_| solution::opened(&table, worker)),
            "close" => (0..number).for_each(|_| solution::closed(&table, worker)),
            "exit" => solution::exited(&table, worker),
            "decide" => {
                let waiting = Duration::from_millis(number);
                say(match solution::decide(&table, worker, waiting) {
                    Decision::Accept => "accept".to_owned(),
                    Decision::Leave(time) => {
                        format!("leave for {} us", time.as_micros())
                    }
                });
            }
            _ => return Err(wrong(format_args!("not understood: {line}"))),
        }
    }
    Ok(ExitCode::SUCCESS)
}
