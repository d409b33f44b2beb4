//! Given: reads the command line, starts commands, and prints what your functions
//! return.

use std::env;
use std::process::{Command, exit};

use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::solution::{decode, exit_event, wait_for_change};

const USAGE: &str = "\
Usage: ex09-how-it-ended decode STATUS...   decode wait statuses: 256, 0x0100
       ex09-how-it-ended run COMMAND...     run each with `sh -c`, one after another, and report
                                            each change";

/// What waitpid(2) calls a change of state of a child.
#[allow(dead_code)] // The stub makes none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It exited by itself, with this code.
    Exited(i32),
    /// The signal with this number killed it. `core`: the kernel wrote its memory
    /// to a file.
    Signaled { signal: i32, core: bool },
    /// The signal with this number stopped it. It can continue.
    Stopped(i32),
    /// It continues: SIGCONT.
    Continued,
}

/// Does what the command line says.
pub fn run() {
    let words: Vec<String> = env::args().skip(1).collect();
    match words.split_first() {
        Some((what, statuses)) if what == "decode" => {
            statuses.iter().for_each(|word| {
                let status = number(word)
                    .unwrap_or_else(|| fail(&format!("'{word}' is no status")));
                tell(status);
            })
        }
        Some((what, commands)) if what == "run" => {
            catch_sigusr1();
            commands.iter().for_each(|command| follow(command));
        }
        _ => fail(USAGE),
    }
}

/// Starts a command, and reports each change until it has exited.
fn follow(command: &str) {
    // Its process id is enough: you wait for it.
    let started = Command::new("sh")
        .args(["-c", command])
        .spawn()
        .map(|child| child.id() as i32);
    let child =
        started.unwrap_or_else(|error| fail(&format!("cannot start sh: {error}")));
    while !tell(wait_for_change(child)) {}
}

/// Prints a line. Returns whether it is the last one of this child.
fn tell(status: i32) -> bool {
    let change = decode(status);
    let event = exit_event(change);
    let said = match &event {
        Some((code, signal)) => {
            let code = code.map_or("null".to_owned(), |code| code.to_string());
            let signal = signal
                .as_ref()
                .map_or("null".to_owned(), |name| format!("{name:?}"));
            format!("exit({code}, {signal})")
        }
        None => "no event".to_owned(),
    };
    println!("{status:#06x} = {change:?} -> {said}");
    event.is_some()
}

/// `256`, or `0x0100`.
fn number(word: &str) -> Option<i32> {
    match word.strip_prefix("0x") {
        Some(digits) => i32::from_str_radix(digits, 16).ok(),
        None => word.parse().ok(),
    }
}

/// From now on, SIGUSR1 interrupts the call in which this process blocks, and does
/// nothing else.
fn catch_sigusr1() {
    extern "C" fn nothing(_: c_int) {}
    // Without SA_RESTART, a call that blocks fails with EINTR.
    let action = SigAction::new(
        SigHandler::Handler(nothing),
        SaFlags::empty(),
        SigSet::empty(),
    );
    // SAFETY: a handler that does nothing may interrupt anything.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.expect("SIGUSR1 can be caught");
}

fn fail(message: &str) -> ! {
    eprintln!("{message}");
    exit(2)
}
