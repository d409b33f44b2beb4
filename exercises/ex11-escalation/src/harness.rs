//! Given: starts commands, calls your function, and prints what it returns.

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
Usage: ex11-escalation GRACE COMMAND...   runs each with `sh -c`, at the same time; a line on
                                          standard input stops them. GRACE: milliseconds";

/// The calls of kill(2), in order, and their results.
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
    let statuses = stop(children, Duration::from_millis(grace));
    let took = began.elapsed().as_millis();
    for line in KILLS.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{line}");
    }
    for (number, status) in (1..).zip(statuses) {
        match (status.code(), status.signal()) {
            (Some(code), _) => println!("child {number}: code {code}"),
            (None, Some(signal)) => println!("child {number}: signal {signal}"),
            (None, None) => println!("child {number}: has not exited"),
        }
    }
    println!("stopped in {took} ms");
    // The tests look at this process now: what is left?
    wait_for_a_line();
}

// You wait for it.
#[allow(clippy::zombie_processes)]
fn start(command: &str) -> Child {
    let child = Command::new("sh").args(["-c", command]).spawn();
    child.unwrap_or_else(|error| fail(&format!("cannot start sh: {error}")))
}

fn wait_for_a_line() {
    let _ = io::stdin().read_line(&mut String::new());
}

/// kill(2), which records its calls. The linker takes this function in place of
/// libc's, even for nix and std, which call it by this name.
// SAFETY: it has the name, the arguments and the result of kill(2), and does the
// same.
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
