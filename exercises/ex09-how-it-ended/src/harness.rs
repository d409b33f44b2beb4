//! Given: reads the command line, starts commands, and prints what your functions return.

use std::env;
use std::process::{Command, exit};

use nix::libc::c_int;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::solution::{decode, exit_event, wait_for_change};

const USAGE: &str = "\
Usage: ex09-how-it-ended decode STATUS...   take wait statuses apart: 256, 0x0100
       ex09-how-it-ended run COMMAND...     run each with `sh -c`, one after another, and tell what
                                            becomes of it";

/// What has become of a child: waitpid(2) calls it a change of state.
// The stub makes none of them.
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has ended by itself, with this code.
    Exited(i32),
    /// A signal has ended it: this number. `core`: the kernel has written its memory to a file.
    Signaled { signal: i32, core: bool },
    /// A signal has stopped it. It is not over.
    Stopped(i32),
    /// SIGCONT has let it go on.
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

/// Starts a command, and tells of each change until it has ended.
fn follow(command: &str) {
    // Its number is enough: the waiting is yours.
    let started = Command::new("sh")
        .args(["-c", command])
        .spawn()
        .map(|child| child.id() as i32);
    let child =
        started.unwrap_or_else(|error| fail(&format!("cannot start sh: {error}")));
    while !tell(wait_for_change(child)) {}
}

/// Prints a line; says whether it was the last of this child.
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

/// From now on SIGUSR1 interrupts whatever this process waits in, and does nothing else.
fn catch_sigusr1() {
    extern "C" fn nothing(_: c_int) {}
    // Without SA_RESTART: the call that was waiting fails with EINTR.
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
