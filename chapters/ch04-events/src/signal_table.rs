//! The table behind `kill -l`, and signals by name.

use std::process::ExitCode;

use cli::{Arguments, say, unexpected, wrong};
use nix::{libc, sys::signal::Signal};

/// What a process does with a signal that it does not handle (signal(7)).
fn default_action(signal: Signal) -> &'static str {
    use Signal::*;
    match signal {
        SIGCHLD | SIGURG | SIGWINCH => "ignored",
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => "stops it",
        SIGCONT => "goes on",
        SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV
        | SIGXCPU | SIGXFSZ | SIGSYS => "ends it, with a core dump",
        _ => "ends it",
    }
}

/// What it stands for.
fn meaning(signal: Signal) -> &'static str {
    use Signal::*;
    match signal {
        SIGHUP => "the terminal has closed",
        SIGINT => "Ctrl-C",
        SIGQUIT => "Ctrl-\\",
        SIGILL => "an instruction that does not exist",
        SIGTRAP => "a breakpoint",
        SIGABRT => "abort(3)",
        SIGBUS => "a bad memory access, such as beyond the end of a mapped file",
        SIGFPE => "arithmetic: a division by zero",
        SIGKILL => "ends it, and cannot be handled, ignored or blocked",
        SIGUSR1 | SIGUSR2 => "the program's own",
        SIGSEGV => "an invalid memory address",
        SIGPIPE => "a write to a pipe or socket that nobody reads",
        SIGALRM => "alarm(2)",
        SIGTERM => "please end: what kill(1) and child.kill() send",
        SIGCHLD => "a child has ended, or was stopped",
        SIGCONT => "goes on after a stop",
        SIGSTOP => "stops it, and cannot be handled, ignored or blocked",
        SIGTSTP => "Ctrl-Z",
        SIGTTIN => "a background process reads from the terminal",
        SIGTTOU => "a background process writes to the terminal",
        SIGURG => "out-of-band data on a socket",
        SIGXCPU => "more processor time than allowed",
        SIGXFSZ => "a larger file than allowed",
        SIGVTALRM | SIGPROF => "setitimer(2)",
        SIGWINCH => "the terminal has changed size",
        SIGIO => "a descriptor can be read or written",
        SIGSYS => "a system call that does not exist",
        // These are not everywhere.
        _ => match signal.as_str() {
            "SIGPWR" => "the power fails",
            "SIGSTKFLT" => "nobody sends it any more",
            _ => "",
        },
    }
}

/// Prints the table.
pub fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(word) = arguments.word()? {
        return Err(unexpected(&word));
    }
    for signal in Signal::iterator() {
        let (number, name) = (signal as i32, signal.as_str());
        let line = format!(
            "{number:2}  {name:11}  {:25}  {}",
            default_action(signal),
            meaning(signal)
        );
        say(line.trim_end());
    }
    #[cfg(target_os = "linux")]
    for number in libc::SIGRTMIN()..=libc::SIGRTMAX() {
        say(format_args!(
            "{number:2}  {:11}  {:25}  the program's own, and queued",
            real_time(number),
            "ends it"
        ));
    }
    Ok(ExitCode::SUCCESS)
}

/// The real-time signals have no names of their own, only places in a row, counted from its nearer
/// end.
#[cfg(target_os = "linux")]
fn real_time(number: i32) -> String {
    let (first, last) = (libc::SIGRTMIN(), libc::SIGRTMAX());
    match (number - first, last - number) {
        (0, _) => "SIGRTMIN".to_owned(),
        (_, 0) => "SIGRTMAX".to_owned(),
        (up, down) if up <= down => format!("SIGRTMIN+{up}"),
        (_, down) => format!("SIGRTMAX-{down}"),
    }
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
