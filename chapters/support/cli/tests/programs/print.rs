//! Prints lines; started by `tests/output.rs`.

use std::{io, process::ExitCode, time::Instant};

use cli::{LogLimit, complain, log, say, unexpected};
use nix::{
    errno::Errno,
    libc,
    sys::signal::{SigHandler, Signal, signal},
};

fn main() -> ExitCode {
    cli::run("usage: print say|log|complain|limited COUNT", |mut arguments| {
        let kind = arguments.word()?.unwrap_or_default();
        let limit = LogLimit::new();
        if !["say", "log", "alarmed", "complain", "limited"].contains(&&*kind) {
            return Err(unexpected(&kind));
        }
        if kind == "alarmed" {
            send_signals_to_itself()?;
        }
        for number in 0..arguments.number("COUNT", 0, u32::MAX)? {
            let line = format!("line {number:095}");
            match kind.as_str() {
                "say" => say(line),
                "log" | "alarmed" => log(line),
                "complain" => complain(line),
                _ => limit.complain(Instant::now(), line),
            }
        }
        if kind == "log" {
            complain("all is logged");
            io::stdin().read_line(&mut String::new())?;
            log("the last line");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Sends SIGALRM to this process from now on, twenty thousand times a second.
fn send_signals_to_itself() -> nix::Result<()> {
    extern "C" fn nothing(_: i32) {}
    let interval = libc::timeval { tv_sec: 0, tv_usec: 50 };
    let timer = libc::itimerval { it_interval: interval, it_value: interval };
    // SAFETY: the handler does nothing. setitimer(2) reads `timer`, and writes nothing.
    unsafe {
        signal(Signal::SIGALRM, SigHandler::Handler(nothing))?;
        let result =
            libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut());
        Errno::result(result).map(drop)
    }
}
