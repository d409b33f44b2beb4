//! Given: a parent that does what the command line says, and the child that it
//! starts.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::{env, process, thread};

use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::solution::spawn;

const USAGE: &str = "\
usage: ex04-exec-channel STEP...

Each argument is a step. The steps are done one after another:
  start          starts this program again, as a child that answers
  start PROGRAM  starts another program
  'say N TEXT'   sends a line to child N, and prints its answer; at the text 'quit' it exits
  'close N'      closes the channel to child N, and waits until the child has exited";

/// A child that runs, and our end of its channel.
struct Child {
    pid: Pid,
    channel: BufReader<UnixStream>,
}

/// The parent, or with the word `child` the child.
pub fn run() {
    let steps: Vec<String> = env::args().skip(1).collect();
    match &steps[..] {
        [] => {
            eprintln!("{USAGE}");
            process::exit(2);
        }
        [word] if word == "child" => child(),
        _ => parent(&steps),
    }
}

fn parent(steps: &[String]) {
    let _careless = careless().expect("/dev/null can be opened");
    let mut children: Vec<Option<Child>> = Vec::new();
    for step in steps {
        let words: Vec<&str> = step.splitn(3, ' ').collect();
        let number =
            words.get(1).and_then(|word| word.parse::<usize>().ok()).unwrap_or(0);
        let child = children.get_mut(number.wrapping_sub(1));
        match (words[0], child) {
            ("start", _) => {
                children.push(start(words.get(1).copied(), children.len() + 1))
            }
            ("say", Some(Some(child))) => {
                say(child, number, words.get(2).unwrap_or(&""))
            }
            ("close", Some(child @ Some(_))) => {
                let Child { pid, channel } = child.take().expect("it is there");
                drop(channel);
                let how = match waitpid(pid, None) {
                    Ok(WaitStatus::Exited(_, code)) => format!("code {code}"),
                    Ok(WaitStatus::Signaled(_, signal, _)) => {
                        format!("signal {signal}")
                    }
                    Ok(other) => format!("{other:?}"),
                    Err(error) => format!("it cannot be waited for: {error}"),
                };
                println!("child {number} has exited: {how}");
            }
            _ => println!("cannot do '{step}'"),
        }
    }
    // The tests look at this process now: which children does it have, and what is
    // open?
    println!("process {} is done", process::id());
    thread::park();
}

fn start(program: Option<&str>, number: usize) -> Option<Child> {
    let this = env::current_exe().expect("the path of this program");
    let this = this.to_str().expect("a path in UTF-8");
    let spawned = match program {
        Some(program) => spawn(program, &[]),
        None => spawn(this, &["child"]),
    };
    match spawned {
        Ok((pid, channel)) => {
            println!("child {number} is process {pid}");
            let mut child = Child { pid, channel: BufReader::new(channel) };
            print_answer(&mut child, number);
            Some(child)
        }
        Err(error) => {
            println!("cannot start child {number}: {:?}", error.kind());
            None
        }
    }
}

fn say(child: &mut Child, number: usize, text: &str) {
    // If the child has exited, that shows when its answer is read.
    let _ = child.channel.get_ref().write_all(format!("{text}\n").as_bytes());
    print_answer(child, number);
}

/// Prints the next line of the child. Blocks until there is one, or the channel
/// ends.
fn print_answer(child: &mut Child, number: usize) {
    let mut line = String::new();
    match child.channel.read_line(&mut line) {
        Ok(0) => println!("child {number} has closed its channel"),
        Ok(_) => println!("child {number} says: {}", line.trim_end()),
        Err(error) => println!("cannot read from child {number}: {error}"),
    }
}

/// Three descriptors that are not close-on-exec, as a library in C may leave them:
/// two low numbers and a high one. Your child must not have them.
fn careless() -> io::Result<[OwnedFd; 3]> {
    let null = File::open("/dev/null")?;
    let copy = |least| {
        let number = fcntl(&null, FcntlArg::F_DUPFD(least))?;
        // SAFETY: the descriptor is new, so nothing else owns it.
        Ok::<_, io::Error>(unsafe { OwnedFd::from_raw_fd(number) })
    };
    Ok([copy(3)?, copy(3)?, copy(100)?])
}

/// The child: says which descriptor its channel is, and answers until the channel
/// ends.
fn child() {
    let number =
        env::var("NODE_CHANNEL_FD").unwrap_or_else(|_| give_up("it is not set"));
    let number: RawFd =
        number.parse().unwrap_or_else(|_| give_up("it is not a number"));
    let is_open = |number| {
        // SAFETY: the descriptor is only copied, which fails if it is not open.
        unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned().is_ok()
    };
    if number < 3 || !is_open(number) {
        give_up(&format!("descriptor {number} is not open, or a standard stream"));
    }
    // SAFETY: it is open, and the parent left it open for us.
    let channel = unsafe { UnixStream::from_raw_fd(number) };
    let _ = writeln!(&channel, "my channel is descriptor {number}");
    let lines = BufReader::new(&channel).lines().map_while(Result::ok);
    for line in lines.take_while(|line| line != "quit") {
        let _ = writeln!(&channel, "I am {}, and received '{line}'", process::id());
    }
}

fn give_up(why: &str) -> ! {
    eprintln!("child {}: NODE_CHANNEL_FD: {why}", process::id());
    process::exit(2);
}
