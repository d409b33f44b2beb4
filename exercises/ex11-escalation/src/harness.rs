//! Given: starts commands, has you stop them, and prints how each has ended.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, exit};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc::{self, c_int, pid_t};
use nix::sys::signal::Signal;

use crate::solution::stop;

const USAGE: &str = "\
Usage: ex11-escalation GRACE COMMAND...   run each with `sh -c`, at the same time; a line on standard
                                          input stops them, with so many milliseconds of grace";

/// What kill(2) was asked, in order, and what it said.
static KILLS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Does what the command line says.
pub fn run() {
    let mut words = std::env::args().skip(1);
    let grace = words
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or_else(|| fail(USAGE));
    let children: Vec<Child> = words.map(|command| start(&command)).collect();
    wait_for_a_line();
    println!("stopping");
    let began = Instant::now();
    let ended = stop(children, Duration::from_millis(grace));
    let took = began.elapsed().as_millis();
    for line in KILLS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{line}");
    }
    for (number, status) in (1..).zip(ended) {
        match (status.code(), status.signal()) {
            (Some(code), _) => println!("child {number}: code {code}"),
            (None, Some(signal)) => println!("child {number}: signal {signal}"),
            (None, None) => println!("child {number}: has not ended"),
        }
    }
    println!("stopped in {took} ms");
    // The tests look at this process now: what is left?
    wait_for_a_line();
}

// The number is yours to wait for.
#[allow(clippy::zombie_processes)]
fn start(command: &str) -> Child {
    let child = Command::new("sh").args(["-c", command]).spawn();
    child.unwrap_or_else(|error| fail(&format!("cannot start sh: {error}")))
}

fn wait_for_a_line() {
    let _ = io::stdin().read_line(&mut String::new());
}

/// kill(2), and it writes down what it was asked. The linker takes this one before libc's: also for
/// nix and for std, which call it by this name.
// SAFETY: it has the name, the arguments and the result of kill(2), and does what that does.
#[unsafe(no_mangle)]
extern "C" fn kill(pid: pid_t, signal: c_int) -> c_int {
    // SAFETY: numbers go in, a number comes out.
    let result = unsafe { libc::syscall(libc::SYS_kill, pid, signal) };
    let errno = Errno::last();
    let name = Signal::try_from(signal)
        .map_or(signal.to_string(), |it| it.as_str().to_owned());
    let said = if result == 0 { "ok" } else { errno.desc() };
    let mut kills = KILLS.lock().unwrap_or_else(PoisonError::into_inner);
    kills.push(format!("kill({pid}, {name}): {said}"));
    errno.set();
    result as c_int
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(2)
}
