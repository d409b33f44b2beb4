//! Given: reads the command line, calls your function, and prints what it returns.

use std::{env, process, thread};

use crate::solution::run_all;

/// `ex01-wait COMMAND...`: runs each command with `sh -c`, all at the same time.
///
/// The word `--too-long` stands for a command that is too long for execve(2).
pub fn run() {
    let names: Vec<String> = env::args().skip(1).collect();
    let commands: Vec<String> = names.iter().map(|name| command(name)).collect();
    // Without a newline: the text is in a buffer of this process while you fork.
    print!("begin, ");
    let codes = run_all(&commands);
    println!("end");
    for (name, code) in names.iter().zip(codes) {
        println!("{name}: {code}");
    }
    // The tests look at this process now: which children does it have?
    println!("process {}: all children have exited", process::id());
    thread::park();
}

fn command(name: &str) -> String {
    match name {
        "--too-long" => format!("exit 0 # {}", "x".repeat(200_000)),
        name => name.to_owned(),
    }
}
