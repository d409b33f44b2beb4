//! `ch04-events signals`: every signal with its default action. And signals by
//! name.

use std::process::ExitCode;

use cli::{Arguments, say, unexpected, wrong};
use nix::{libc, sys::signal::Signal};

/// Prints the table.
pub fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(word) = arguments.word()? {
        return Err(unexpected(&word));
    }
    for signal in Signal::iterator() {
        print(
            signal as i32,
            signal.as_str(),
            default_action(signal),
            meaning(signal),
        );
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

/// What a signal does to a process that has not chosen otherwise (signal(7)).
fn default_action(signal: Signal) -> &'static str {
    use Signal::*;
    match signal {
        SIGCHLD | SIGURG | SIGWINCH => "ignored",
        SIGSTOP | SIGTSTP | SIGTTIN | SIGTTOU => "stops",
        SIGCONT => "continues",
        SIGQUIT | SIGILL | SIGTRAP | SIGABRT | SIGBUS | SIGFPE | SIGSEGV
        | SIGXCPU | SIGXFSZ | SIGSYS => "terminates, core dump",
        _ => TERMINATES,
    }
}

/// When the kernel or a program sends it.
fn meaning(signal: Signal) -> &'static str {
    use Signal::*;
    match signal {
        SIGHUP => "the terminal was closed",
        SIGINT => "Ctrl-C",
        SIGQUIT => "Ctrl-\\",
        SIGILL => "an invalid instruction",
        SIGTRAP => "a breakpoint",
        SIGABRT => "abort(3)",
        SIGBUS => "an access behind the end of a mapped file",
        SIGFPE => "an arithmetic error: a division by zero",
        SIGKILL => "cannot be handled, ignored or blocked",
        SIGUSR1 | SIGUSR2 => "for the program to define",
        SIGSEGV => "an invalid memory address",
        SIGPIPE => "a write to a pipe that no process reads",
        SIGALRM => "alarm(2)",
        SIGTERM => "a request to exit: the default of kill(1)",
        SIGCHLD => "a child exited or stopped",
        SIGCONT => "continues a stopped process",
        SIGSTOP => "cannot be handled, ignored or blocked",
        SIGTSTP => "Ctrl-Z",
        SIGTTIN => "a background process reads its terminal",
        SIGTTOU => "a background process writes to its terminal",
        SIGURG => "out-of-band data on a socket",
        SIGXCPU => "more processor time than allowed",
        SIGXFSZ => "a larger file than allowed",
        SIGVTALRM | SIGPROF => "setitimer(2)",
        SIGWINCH => "the terminal changed its size",
        SIGIO => "a descriptor is ready",
        SIGSYS => "a system call that does not exist",
        // Not every system has these.
        _ => match signal.as_str() {
            "SIGPWR" => "a power failure",
            "SIGSTKFLT" => "not used",
            _ => "",
        },
    }
}
