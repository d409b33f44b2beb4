//! Given: the loop that waits for signals and lines, and commands that test your
//! part.

use std::io;
use std::os::fd::AsFd;
use std::process::{Child, Command, exit};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::waitpid;
use nix::unistd::{ForkResult, fork, read};

use crate::solution::Signals;

struct Loop {
    signals: Signals,
    /// How often poll(2) has returned; and how often it has for a signal, and
    /// `take` returned none.
    rounds: u64,
    for_nothing: u64,
    /// The beginning of a line of standard input.
    input: Vec<u8>,
    started: Vec<Child>,
}

/// Receives signals, and lines on standard input, until that ends or says `quit`.
pub fn run() {
    let signals =
        Signals::listen(&[Signal::SIGUSR1, Signal::SIGTERM, Signal::SIGALRM])
            .unwrap_or_else(|error| {
                fail(&format!("cannot listen for signals: {error}"))
            });
    // A small pipe is full sooner: 4,096 bytes. A pair of sockets is small anyway.
    let _ = fcntl(&signals, FcntlArg::F_SETPIPE_SZ(4096));
    let (input, started) = (Vec::new(), Vec::new());
    let mut here = Loop { signals, rounds: 0, for_nothing: 0, input, started };
    println!("listening");
    while here.round() {}
    for mut child in here.started {
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Loop {
    /// Waits until there is a signal or a line, and receives it. Returns whether to
    /// continue.
    fn round(&mut self) -> bool {
        let stdin = io::stdin();
        let mut sources = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(stdin.as_fd(), PollFlags::POLLIN),
        ];
        match poll(&mut sources, PollTimeout::NONE) {
            Ok(_) => self.rounds += 1,
            // A signal. Now there should be something to read.
            Err(Errno::EINTR) => return true,
            Err(error) => fail(&format!("cannot poll: {error}")),
        }
        let [signalled, said] = sources.map(|source| source.any() == Some(true));
        if signalled {
            self.take_signals();
        }
        !said || self.read_lines()
    }

    fn take_signals(&mut self) {
        let received = self.signals.take();
        self.for_nothing += u64::from(received.is_empty());
        for (signal, count) in received {
            println!("received {signal}: {count}");
        }
    }

    /// Not with std's reader: it would keep lines, and poll(2) does not see those.
    fn read_lines(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let count = match read(io::stdin(), &mut bytes) {
            Ok(0) => return false,
            Ok(count) => count,
            Err(Errno::EINTR | Errno::EAGAIN) => return true,
            Err(error) => fail(&format!("cannot read: {error}")),
        };
        self.input.extend_from_slice(&bytes[..count]);
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            if !self.obey(String::from_utf8_lossy(&line).trim()) {
                return false;
            }
        }
        true
    }

    /// Does what a line says.
    fn obey(&mut self, line: &str) -> bool {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("quit") => return false,
            Some("raise") => raise_all(words),
            Some("fork") => fork_and_raise(),
            Some("start") => self.start(),
            Some("race") => self.race(),
            Some("rounds") => {
                println!(
                    "rounds: {}, for nothing: {}",
                    self.rounds, self.for_nothing
                );
            }
            _ => println!("you said: {line}"),
        }
        true
    }

    /// Starts another program, which should have none of your descriptors.
    fn start(&mut self) {
        let child = Command::new("sleep").arg("60").spawn();
        let child = child
            .unwrap_or_else(|error| fail(&format!("cannot start sleep: {error}")));
        println!("started {}", child.id());
        self.started.push(child);
    }

    /// Lets a signal arrive while `take` looks for another. The right moment is
    /// found by trying: a bit later if the signal arrived too early, a bit earlier
    /// if too late.
    fn race(&mut self) {
        const ROUNDS: u32 = 5_000;
        let (mut pause, mut raised): (u32, u32) = (0, 0);
        for round in 0..ROUNDS {
            raise(Signal::SIGUSR1).expect("it is a signal, so it can be raised");
            alarm_in_20_microseconds();
            (0..pause).for_each(|_| std::hint::spin_loop());
            let mut received = self.signals.take();
            let early = count(&received, Signal::SIGALRM) > 0;
            pause = if early { pause.saturating_sub(7) } else { pause + 7 };
            while count(&received, Signal::SIGALRM) == 0 {
                if !readable_within(&self.signals, 2000) {
                    return println!(
                        "race: in round {round}, SIGALRM arrived 2 s ago and nothing can be \
                         read"
                    );
                }
                received.extend(self.signals.take());
            }
            raised += count(&received, Signal::SIGUSR1);
        }
        println!("race: {raised} of {ROUNDS} were counted");
    }
}

fn count(received: &[(Signal, u32)], signal: Signal) -> u32 {
    received.iter().filter(|it| it.0 == signal).map(|it| it.1).sum()
}

/// Asks the kernel to send SIGALRM to this process (setitimer(2)).
fn alarm_in_20_microseconds() {
    let never = libc::timeval { tv_sec: 0, tv_usec: 0 };
    let timer = libc::itimerval {
        it_interval: never,
        it_value: libc::timeval { tv_usec: 20, ..never },
    };
    // SAFETY: it reads `timer`, and writes nothing because the last argument is
    // null.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// Whether there is something to read within so many milliseconds.
fn readable_within(signals: &Signals, milliseconds: u16) -> bool {
    loop {
        let mut sources = [PollFd::new(signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut sources, milliseconds) {
            Err(Errno::EINTR) => {}
            ready => return ready.is_ok_and(|count| count > 0),
        }
    }
}

/// `SIGUSR1`, or `1000*SIGUSR1`: sends signals to this process, one after another,
/// while the loop waits. The handler of each has run when raise(3) returns.
fn raise_all<'a>(words: impl Iterator<Item = &'a str>) {
    // No call that is made here fails with this error.
    const UNTOUCHED: i32 = libc::EXDEV;
    let (mut raised, mut changed) = (0, 0);
    for word in words {
        let (count, name) = word.split_once('*').unwrap_or(("1", word));
        let (Ok(count), Ok(signal)) =
            (count.parse::<u32>(), name.parse::<Signal>())
        else {
            return println!("raise what? raise SIGTERM, raise 1000*SIGUSR1");
        };
        for _ in 0..count {
            Errno::set_raw(UNTOUCHED);
            raise(signal).expect("it is a signal, so it can be raised");
            changed += u32::from(Errno::last_raw() != UNTOUCHED);
        }
        raised += count;
    }
    println!("raised: {raised}, errno was changed: {changed}");
}

/// Makes a child with fork(2) and no exec. It has the handlers of this process, and
/// raises a signal.
fn fork_and_raise() {
    // SAFETY: the child makes two system calls and no other.
    match unsafe { fork() }
        .unwrap_or_else(|error| fail(&format!("cannot fork: {error}")))
    {
        ForkResult::Parent { child } => {
            let _ = waitpid(child, None);
            println!("a child has raised SIGUSR1 and exited");
        }
        ForkResult::Child => {
            let _ = raise(Signal::SIGUSR1);
            // SAFETY: _exit ends the process.
            unsafe { libc::_exit(0) }
        }
    }
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(1)
}
