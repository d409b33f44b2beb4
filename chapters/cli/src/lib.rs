//! The command line that all programs of the workspace share. No chapter: nothing here is about
//! processes, so that each chapter's `main.rs` can be.
//!
//! One grammar for all:
//!
//! ```text
//! chNN [--addr 127.0.0.1] [--port 1337] [--workers N] [--exec PROGRAM ARG...]   the parent
//! chNN worker [NAME]                                                            a child
//! ```
//!
//! A wrong command line shows the usage and exits with 2. Anything else that fails exits with 1 and
//! one line that says what was attempted and why it did not work.

use std::{
    env,
    ffi::OsString,
    fmt::Display,
    io::{self, Write},
    net::{TcpListener, ToSocketAddrs},
    num::NonZero,
    path::PathBuf,
    process::{Command, ExitCode},
    str::FromStr,
    thread,
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use lexopt::{Arg, Parser, ValueExt as _};
use nix::{
    errno::Errno,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{
            SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask,
        },
        socket::{Backlog, listen as listen_again},
    },
};

/// Connections that may wait in a listener until somebody accepts them.
///
/// `std` asks for 128. That is too few while all workers are being replaced: a full queue makes the
/// kernel drop the next SYN, and its client waits a second before it tries again (listen(2)).
const BACKLOG: i32 = 4096;

/// Runs a chapter's program: `main` is given the command line, and what it returns becomes the exit
/// code. `--help` prints `usage`; a wrong flag prints it too, on standard error, and exits with 2.
pub fn run(usage: &str, main: impl FnOnce(Arguments) -> anyhow::Result<ExitCode>) -> ExitCode {
    forget_inherited_signals();
    allow_descriptors();
    match main(Arguments(Parser::from_env())) {
        Ok(code) => code,
        Err(error) if error.is::<Help>() => {
            say(usage.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => match error.downcast_ref::<lexopt::Error>() {
            Some(wrong) => {
                complain(format_args!("{wrong}\n\n{}", usage.trim_end()));
                ExitCode::from(2)
            }
            None => {
                complain(why(&error));
                ExitCode::FAILURE
            }
        },
    }
}

/// The flags of a parent. A chapter's program hands over every argument that is not its own.
#[derive(Debug)]
pub struct Options {
    /// `--addr`: where to listen. Localhost, unless the user says otherwise.
    pub addr: String,
    /// `--port`: 0 takes a free one.
    pub port: u16,
    /// `--workers`: 1 to 1024; as many as there are CPUs where not given.
    pub workers: usize,
    /// `--exec PROGRAM ARG...`: what to run as the child in place of the chapter's own worker.
    pub exec: Option<Vec<OsString>>,
    takes: &'static [&'static str],
    /// This program's file. Asked for at the start: rebuilt since, it has the same name still, and
    /// the system would only say that the old one was deleted.
    own: io::Result<PathBuf>,
}

impl Options {
    /// The defaults. `takes` names the flags that this chapter has, such as `["--addr", "--port"]`.
    pub fn new(takes: &'static [&'static str]) -> Options {
        Options {
            addr: "127.0.0.1".to_owned(),
            port: 1337,
            workers: thread::available_parallelism().map_or(1, NonZero::get).min(1024),
            exec: None,
            takes,
            own: env::current_exe(),
        }
    }

    /// Takes one `word` of the command line, and its value from `arguments`.
    ///
    /// # Errors
    /// A flag that this chapter does not have, a value that makes no sense.
    pub fn take(&mut self, word: &str, arguments: &mut Arguments) -> anyhow::Result<()> {
        match word {
            _ if !self.takes.contains(&word) => return Err(unexpected(word)),
            "--addr" => self.addr = arguments.value()?,
            "--port" => self.port = arguments.number("--port", 0, u16::MAX)?,
            "--workers" => self.workers = arguments.number("--workers", 1, 1024)?,
            "--exec" => self.exec = Some(arguments.rest("--exec")?),
            _ => return Err(unexpected(word)),
        }
        Ok(())
    }

    /// The command that starts a child: `--exec`'s where that was given, else this same program
    /// again, as `worker`.
    ///
    /// # Errors
    /// When the system cannot tell where this program's file is.
    pub fn worker(&self) -> anyhow::Result<Command> {
        match self.exec.as_deref() {
            Some([program, arguments @ ..]) => {
                let mut command = Command::new(program);
                command.args(arguments);
                Ok(command)
            }
            _ => {
                let own = self.own.as_ref().map_err(|error| anyhow!("{}", reason(error)));
                let mut command = Command::new(own.context("cannot find this program's file")?);
                command.arg("worker");
                Ok(command)
            }
        }
    }

    /// Listens on `--addr` and `--port`, and says so: `listening on http://127.0.0.1:1337`.
    ///
    /// # Errors
    /// `cannot listen on 127.0.0.1:1337: Address already in use`, and the like.
    pub fn listen(&self) -> anyhow::Result<TcpListener> {
        let listener = listen(&self.addr, self.port)
            .with_context(|| format!("cannot listen on {}:{}", self.addr, self.port))?;
        say(format_args!("listening on http://{}", listener.local_addr()?));
        Ok(listener)
    }
}

/// The words of a command line, one after another.
#[derive(Debug)]
pub struct Arguments(Parser);

impl Arguments {
    /// The next word: a flag with its dashes (`--port`), or anything else as it stands.
    ///
    /// # Errors
    /// [`Help`] where that is asked for; a word that is not UTF-8.
    pub fn word(&mut self) -> anyhow::Result<Option<String>> {
        Ok(match self.0.next()? {
            None => None,
            Some(Arg::Long("help") | Arg::Short('h')) => return Err(Help.into()),
            Some(Arg::Long(flag)) => Some(format!("--{flag}")),
            Some(Arg::Short(flag)) => Some(format!("-{flag}")),
            Some(Arg::Value(word)) => Some(word.string()?),
        })
    }

    /// The value of the flag that came last.
    ///
    /// # Errors
    /// When there is none.
    pub fn value(&mut self) -> anyhow::Result<String> {
        Ok(self.0.value()?.string()?)
    }

    /// The value of `flag`, which came last: a whole number from `least` to `most`.
    ///
    /// # Errors
    /// When it is missing, no number, or out of bounds.
    pub fn number<T>(&mut self, flag: &str, least: T, most: T) -> anyhow::Result<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = self.value()?;
        match text.parse() {
            Ok(value) if value >= least && value <= most => Ok(value),
            _ => Err(wrong(format_args!(
                "{flag} takes a number from {least} to {most}, not '{text}'"
            ))),
        }
    }

    /// All words that are left, flags and all.
    pub fn remaining(&mut self) -> Vec<OsString> {
        self.0.raw_args().map(Iterator::collect).unwrap_or_default()
    }

    /// The rest of the line, flags and all: the program that `flag` runs, and its arguments.
    ///
    /// # Errors
    /// When nothing is left.
    pub fn rest(&mut self, flag: &str) -> anyhow::Result<Vec<OsString>> {
        let words = self.remaining();
        if words.is_empty() {
            return Err(wrong(format_args!("{flag} needs a program to run")));
        }
        Ok(words)
    }

    /// The name of a worker, where it has one: all that may follow `worker`.
    ///
    /// # Errors
    /// Any further word.
    pub fn worker_name(&mut self) -> anyhow::Result<Option<String>> {
        let name = self.word()?;
        match self.word()? {
            Some(word) => Err(unexpected(&word)),
            None => Ok(name),
        }
    }
}

/// A wrong command line, in words: [`run`] shows it above the usage and exits with 2.
pub fn wrong(what: impl Display) -> anyhow::Error {
    lexopt::Error::Custom(what.to_string().into()).into()
}

/// A word that means nothing here.
pub fn unexpected(word: &str) -> anyhow::Error {
    let kind = if word.starts_with('-') { "flag" } else { "argument" };
    wrong(format_args!("unknown {kind} '{word}'"))
}

/// Asked for with `--help`: [`run`] prints the usage on standard output and exits with 0.
#[derive(Debug)]
pub struct Help;

impl Display for Help {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("help was asked for")
    }
}

impl std::error::Error for Help {}

/// Prints a line on standard output, or does nothing where nobody reads it any more.
///
/// `println!` panics then (`chNN | head -n 1`), and a server must not die of its log.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Prints a line on standard error, or does nothing where nobody reads it any more.
pub fn complain(line: impl Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// What went wrong, in the system's own words: `Address already in use`, without the number that
/// `std` puts behind it.
pub fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number).desc().to_owned(),
        None => error.to_string(),
    }
}

/// An error and all its causes, on one line.
pub fn why(error: &anyhow::Error) -> String {
    let causes = error.chain().map(|cause| match cause.downcast_ref::<io::Error>() {
        Some(io) => reason(io),
        None => cause.to_string(),
    });
    causes.collect::<Vec<_>>().join(": ")
}

/// Waits until the `listener` is worth another try, after accept(2) has failed.
///
/// With no descriptor or memory left, accept(2) fails at once and the connection stays in the
/// queue, so poll(2) calls again at once: without a pause that is a busy loop.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

fn listen(addr: &str, port: u16) -> io::Result<TcpListener> {
    let addresses: Vec<_> = (addr.trim_matches(['[', ']']), port).to_socket_addrs()?.collect();
    let listener = TcpListener::bind(&*addresses)?;
    listen_again(&listener, Backlog::new(BACKLOG)?)?;
    Ok(listener)
}

/// Starts from a known state. Signals that are blocked or ignored stay so across exec: a shell
/// starts `chNN &` with SIGINT ignored, and some supervisors ignore SIGCHLD, which makes every
/// waitpid(2) fail.
fn forget_inherited_signals() {
    let default = SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD] {
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { sigaction(signal, &default) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// Allows this process, and those that it starts, as many descriptors as the administrator does. By
/// default a shell grants 1,024: less than a worker may have connections. Node does the same.
fn allow_descriptors() {
    if let Ok((_, most)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, most, most);
    }
}
