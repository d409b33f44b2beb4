//! `ch04-events signals` prints every signal with its default action.

use std::process::ExitCode;

use cli::{Arguments, say, unexpected, wrong};
use nix::{libc, sys::signal::Signal};

/// Prints the table.
pub fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(word) = arguments.word()? {
        return Err(unexpected(&word));
    }
    for signal in Signal::iterator() {
        let name = signal.as_str();
        let row = TABLE.iter().find(|row| row.0 == name);
        let (name, action, meaning) = row.copied().unwrap_or((name, "", ""));
        print(signal as i32, name, action, meaning);
    }
    #[cfg(target_os = "linux")]
    for number in libc::SIGRTMIN()..=libc::SIGRTMAX() {
        let name = real_time_name(number);
        print(number, &name, TERMINATES, "for the program to define; queued");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(number: i32, name: &str, action: &str, meaning: &str) {
    let line = format!("{number:2}  {name:11}  {action:21}  {meaning}");
    say(line.trim_end());
}

/// A signal by any of its names: `SIGTERM`, `TERM`, `15`.
pub fn parse(name: &str) -> anyhow::Result<Signal> {
    let upper = name.to_ascii_uppercase();
    let with_prefix =
        if upper.starts_with("SIG") { upper } else { format!("SIG{upper}") };
    let by_number = || Signal::try_from(name.parse::<i32>().ok()?).ok();
    let signal = with_prefix.parse().ok().or_else(by_number);
    signal.ok_or_else(|| wrong(format_args!("there is no signal '{name}'")))
}

/// Real-time signals have no names of their own. They are counted from the
/// nearer end of their range, as `kill -l` does.
#[cfg(target_os = "linux")]
fn real_time_name(number: i32) -> String {
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    match (number - first, last - number) {
        (0, _) => "SIGRTMIN".to_owned(),
        (_, 0) => "SIGRTMAX".to_owned(),
        (up, down) if up <= down => format!("SIGRTMIN+{up}"),
        (_, down) => format!("SIGRTMAX-{down}"),
    }
}

const TERMINATES: &str = "terminates";
const DUMPS_CORE: &str = "terminates, core dump";

/// Each signal: its name, its default action, what it stands for (signal(7)).
const TABLE: [(&str, &str, &str); 31] = [
    ("SIGHUP", TERMINATES, "the terminal was closed"),
    ("SIGINT", TERMINATES, "Ctrl-C"),
    ("SIGQUIT", DUMPS_CORE, "Ctrl-\\"),
    ("SIGILL", DUMPS_CORE, "an invalid instruction"),
    ("SIGTRAP", DUMPS_CORE, "a breakpoint"),
    ("SIGABRT", DUMPS_CORE, "abort(3)"),
    ("SIGBUS", DUMPS_CORE, "an access beyond the end of a mapped file"),
    ("SIGFPE", DUMPS_CORE, "an arithmetic error: a division by zero"),
    ("SIGKILL", TERMINATES, "cannot be handled, ignored or blocked"),
    ("SIGUSR1", TERMINATES, "for the program to define"),
    ("SIGSEGV", DUMPS_CORE, "an invalid memory address"),
    ("SIGUSR2", TERMINATES, "for the program to define"),
    ("SIGPIPE", TERMINATES, "a write to a pipe that no process reads"),
    ("SIGALRM", TERMINATES, "alarm(2)"),
    ("SIGTERM", TERMINATES, "a request to exit: the default of kill(1)"),
    ("SIGSTKFLT", TERMINATES, "not used"),
    ("SIGCHLD", "ignored", "a child exited or stopped"),
    ("SIGCONT", "continues", "continues a stopped process"),
    ("SIGSTOP", "stops", "cannot be handled, ignored or blocked"),
    ("SIGTSTP", "stops", "Ctrl-Z"),
    ("SIGTTIN", "stops", "a background process reads its terminal"),
    ("SIGTTOU", "stops", "a background process writes to its terminal"),
    ("SIGURG", "ignored", "out-of-band data on a socket"),
    ("SIGXCPU", DUMPS_CORE, "more processor time than allowed"),
    ("SIGXFSZ", DUMPS_CORE, "a larger file than allowed"),
    ("SIGVTALRM", TERMINATES, "setitimer(2)"),
    ("SIGPROF", TERMINATES, "setitimer(2)"),
    ("SIGWINCH", "ignored", "the terminal changed its size"),
    ("SIGIO", TERMINATES, "a descriptor is ready"),
    ("SIGPWR", TERMINATES, "a power failure"),
    ("SIGSYS", DUMPS_CORE, "a system call that does not exist"),
];
