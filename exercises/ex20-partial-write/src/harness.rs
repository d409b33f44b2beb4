//! Given: an event loop with its connections, a script that plays the kernel, and two
//! measurements.

#![allow(dead_code)] // The stub uses none of it yet.

use std::collections::HashMap;
use std::io::{self, BufRead as _, ErrorKind, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::time::Instant;

use cli::{Options, say, wrong};
use nix::sys::epoll::{
    Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout,
};

use crate::solution::Output;

const USAGE: &str = "\
Usage: ex20-partial-write [--port 1337]   a server: each line is a number, and is answered
                                          with so many bytes, 16777216 at most
       ex20-partial-write script          reads what happens from standard input

The lines of a script:

  new              a connection without output
  push TEXT        this text has to be written
  fill N           N dots have to be written
  write RESULT...  write to a kernel with these results: a number (it takes so many bytes,
                   or all, if there are fewer), block, interrupt, or broken. Prints what was
                   written, and what is wanted
  measure          how long it takes to write 16 MiB, 2 KiB at a time, and the memory kept
  steady           1 GiB goes through a connection for which something always waits; prints
                   the memory";

/// The longest answer.
const MOST: usize = 16 << 20;

/// The token of the listener. Descriptors are smaller numbers.
const LISTENER: u64 = u64::MAX;

pub fn run() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--addr", "--port"]);
        while let Some(word) = arguments.word()? {
            match &*word {
                "script" => return script(),
                word => options.take(word, &mut arguments)?,
            }
        }
        serve(&options.listen()?)?;
        Ok(ExitCode::SUCCESS)
    })
}

/// One client.
struct Connection {
    stream: TcpStream,
    /// What was read and is not answered.
    input: Vec<u8>,
    /// The client sends no more.
    has_ended: bool,
    output: Output,
    interest: EpollFlags,
}

/// The event loop. Epoll is level-triggered here: it says that a descriptor is ready
/// as long as it is.
fn serve(listener: &TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
    let mut connections: HashMap<u64, Connection> = HashMap::new();
    let mut events = [EpollEvent::empty(); 64];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        for token in events[..count].iter().map(EpollEvent::data) {
            if token == LISTENER {
                let Ok((stream, _)) = listener.accept() else { continue };
                stream.set_nonblocking(true)?;
                let token = stream.as_raw_fd() as u64;
                let interest = EpollFlags::EPOLLIN;
                epoll.add(&stream, EpollEvent::new(interest, token))?;
                let (input, output) = (Vec::new(), Output::new());
                let has_ended = false;
                let connection =
                    Connection { stream, input, has_ended, output, interest };
                connections.insert(token, connection);
                continue;
            }
            let Some(connection) = connections.get_mut(&token) else { continue };
            match connection.advance() {
                Ok(false) => connection.wait_for(&epoll, token)?,
                // Dropped, which closes it: epoll forgets it.
                Ok(true) | Err(_) => drop(connections.remove(&token)),
            }
        }
    }
}

impl Connection {
    /// Goes on as far as that is possible without blocking. Returns whether the
    /// connection is done.
    fn advance(&mut self) -> io::Result<bool> {
        self.output.write_to(&mut self.stream)?;
        // Then it is the others' turn.
        for _ in 0..16 {
            self.answer_lines()?;
            if self.has_ended || !self.output.wants_read() {
                break;
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => self.has_ended = true,
                Ok(length) => self.input.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        let is_answered = self.output.wants_read() && !self.output.wants_write();
        Ok(self.has_ended && is_answered)
    }

    /// Answers the complete lines that have come in, while there is room.
    fn answer_lines(&mut self) -> io::Result<()> {
        while self.output.wants_read() {
            let end = self.input.iter().position(|byte| *byte == b'\n');
            let Some(end) = end else {
                // No number is that long.
                let is_line = self.input.len() < 20;
                return if is_line {
                    Ok(())
                } else {
                    Err(ErrorKind::InvalidData.into())
                };
            };
            let line: Vec<u8> = self.input.drain(..=end).collect();
            let number = std::str::from_utf8(&line)
                .ok()
                .and_then(|it| it.trim().parse().ok());
            let number = number.filter(|it| *it <= MOST);
            self.output.push(&answer(number.ok_or(ErrorKind::InvalidData)?));
            self.output.write_to(&mut self.stream)?;
        }
        Ok(())
    }

    /// Tells epoll what this connection waits for.
    fn wait_for(&mut self, epoll: &Epoll, token: u64) -> io::Result<()> {
        let mut interest = EpollFlags::empty();
        interest.set(EpollFlags::EPOLLOUT, self.output.wants_write());
        let reads = !self.has_ended && self.output.wants_read();
        interest.set(EpollFlags::EPOLLIN, reads);
        if interest != self.interest {
            epoll.modify(&self.stream, &mut EpollEvent::new(interest, token))?;
            self.interest = interest;
        }
        Ok(())
    }
}

/// So many bytes, in which every place can be told from the next ones.
fn answer(length: usize) -> Vec<u8> {
    let pattern: Vec<u8> = (0..251).collect();
    let mut answer = pattern.repeat(length / pattern.len() + 1);
    answer.truncate(length);
    answer
}

/// What the kernel answers in a script.
struct Kernel {
    results: Vec<String>,
    taken: Vec<u8>,
    calls: u32,
}

impl Write for Kernel {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.calls += 1;
        assert!(self.calls < 1000, "write was called 1000 times without success");
        if bytes.is_empty() {
            return Ok(0);
        }
        // The last result is repeated.
        let result = match self.results.len() {
            0 => "block".to_owned(),
            1 => self.results[0].clone(),
            _ => self.results.remove(0),
        };
        match result.as_str() {
            "block" => Err(ErrorKind::WouldBlock.into()),
            "interrupt" => {
                // Once: the next call is not interrupted.
                self.results.retain(|it| it != "interrupt");
                Err(ErrorKind::Interrupted.into())
            }
            "broken" => Err(ErrorKind::BrokenPipe.into()),
            number => {
                let count = number.parse().unwrap_or(0).min(bytes.len());
                self.taken.extend_from_slice(&bytes[..count]);
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a script to the end of standard input.
fn script() -> anyhow::Result<ExitCode> {
    let mut output = None;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match (&mut output, &*words) {
            (_, ["measure"]) => measure(),
            (_, ["steady"]) => steady(),
            (output, ["new"]) => {
                *output = Some(Output::new());
                say("new");
            }
            (Some(output), ["push", text]) => output.push(text.as_bytes()),
            (Some(output), ["fill", count]) => {
                output.push(&vec![b'.'; count.parse()?])
            }
            (Some(output), ["write", results @ ..]) => write(output, results),
            _ => return Err(wrong(format_args!("not understood: {line}"))),
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn write(output: &mut Output, results: &[&str]) {
    let results = results.iter().map(|it| (*it).to_owned()).collect();
    let mut kernel = Kernel { results, taken: Vec::new(), calls: 0 };
    let result = match output.write_to(&mut kernel) {
        Ok(()) => "ok".to_owned(),
        Err(error) => format!("{:?}", error.kind()),
    };
    let taken = String::from_utf8_lossy(&kernel.taken).into_owned();
    let taken = match taken.len() {
        0 => "nothing".to_owned(),
        1..=40 => taken,
        length => format!("{length} bytes"),
    };
    let wants = match (output.wants_read(), output.wants_write()) {
        (true, true) => "read, write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "nothing",
    };
    say(format_args!("wrote {taken}: {result}, wants {wants}"));
}

/// A stream that takes up to so many bytes in a call, and `calls` times.
struct Trickle {
    size: usize,
    calls: usize,
}

impl Write for Trickle {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.calls == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        self.calls -= 1;
        Ok(bytes.len().min(self.size))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn measure() {
    let before = memory();
    let mut output = Output::new();
    for _ in 0..16 {
        output.push(&vec![b'x'; 1 << 20]);
    }
    let began = Instant::now();
    while output.wants_write() {
        let mut stream = Trickle { size: 2048, calls: 16 };
        output.write_to(&mut stream).expect("it takes all in the end");
    }
    let took = began.elapsed().as_millis();
    say(format_args!("{took} ms, {} KiB kept", memory().saturating_sub(before)));
}

fn steady() {
    let before = memory();
    let mut output = Output::new();
    let bytes = vec![b'x'; 32 << 10];
    output.push(&bytes);
    for _ in 0..32 << 10 {
        output.push(&bytes);
        let mut stream = Trickle { size: bytes.len(), calls: 1 };
        output.write_to(&mut stream).expect("it takes as much as was added");
    }
    say(format_args!("{} KiB used", memory().saturating_sub(before)));
}

/// How much memory this process uses, in KiB (proc_pid_status(5)).
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
