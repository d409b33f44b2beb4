//! Given: reads the command line, calls your functions, and prints what they
//! return.

use std::fs::File;
use std::{env, process, thread};

use crate::solution::{in_a_copy, read_in_turns};

const USAGE: &str = "\
usage: ex02-fork-copies turns FILE      this process and copies of it read FILE in turns
       ex02-fork-copies report BYTES    a copy returns a text of that length
       ex02-fork-copies panic           a copy panics
       ex02-fork-copies abort           a copy is killed by a signal";

/// What the command line asks for.
pub fn run() {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if !matches!(words[..], ["turns" | "report", _] | ["panic" | "abort"]) {
        eprintln!("{USAGE}");
        process::exit(2);
    }
    // Without a newline: the text is in a buffer of this process while you fork.
    print!("begin, ");
    let result = match words[..] {
        ["turns", path] => File::open(path).and_then(read_in_turns),
        ["report", bytes] => in_a_copy(|| {
            "x".repeat(bytes.parse().expect("a number"))
        })
        .map(|text| vec![format!("the copy has returned {} bytes", text.len())]),
        ["panic"] => {
            in_a_copy(|| panic!("this is meant to happen")).map(|text| vec![text])
        }
        _ => in_a_copy(|| process::abort()).map(|text| vec![text]),
    };
    println!("end");
    match result {
        Ok(lines) => lines.iter().for_each(|line| println!("{line}")),
        Err(error) => println!("error: {error}"),
    }
    // The tests look at this process now: which children does it have, and what is
    // open?
    println!("process {} is done", process::id());
    thread::park();
}
