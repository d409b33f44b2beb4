//! Given: takes over the channel, and calls your functions one after the other.

use std::env;
use std::process::{ExitCode, id};

use ch01_fork_ipc::inherited_channel;
use ch02_balance::FdChannel;

use crate::solution::{receive_listener, serve};

const USAGE: &str = "\
Usage: ex07-adopt-listener worker

A worker: serves the listener that its parent sends. Chapter 3 has a parent for it:

  cargo run -p ch03-handles -- --workers 2 --exec target/debug/ex07-adopt-listener worker
";

pub fn run() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    if words != ["worker"] {
        eprint!("{USAGE}");
        return ExitCode::from(2);
    }
    match work() {
        // The process ends here, and with it all threads, whatever they do.
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> anyhow::Result<()> {
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    let mut channel = FdChannel::new(unsafe { inherited_channel() }?)?;
    let Some(listener) = receive_listener(&mut channel)? else {
        println!("worker {}: the parent has gone, and sent no listener", id());
        return Ok(());
    };
    println!("worker {}: has a listener on {}", id(), listener.local_addr()?);
    serve(listener, channel)?;
    println!("worker {}: the parent has gone", id());
    Ok(())
}
