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

mod arguments;
mod options;
mod output;

use std::process::ExitCode;

use lexopt::Parser;
use nix::sys::{
    resource::{Resource, getrlimit, setrlimit},
    signal::{
        SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction,
        sigprocmask,
    },
};

pub use arguments::{Arguments, Help, unexpected, wrong};
pub use options::{ACCEPT_PAUSE, Options};
pub use output::{complain, log, reason, say, why};

/// Runs a chapter's program: `main` is given the command line, and what it returns becomes the exit
/// code. `--help` prints `usage`; a wrong flag prints it too, on standard error, and exits with 2.
pub fn run(
    usage: &str,
    main: impl FnOnce(Arguments) -> anyhow::Result<ExitCode>,
) -> ExitCode {
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

/// Starts from a known state. Signals that are blocked or ignored stay so across exec: a shell
/// starts `chNN &` with SIGINT ignored, and some supervisors ignore SIGCHLD, which makes every
/// waitpid(2) fail.
fn forget_inherited_signals() {
    let default =
        SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
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
