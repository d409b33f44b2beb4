//! The frame of every program's `main`.

use std::{io, process::ExitCode};

use nix::{
    libc::c_int,
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        signal::{
            SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction,
            sigprocmask,
        },
    },
};

use crate::{
    arguments::{Arguments, Help},
    output::{complain, is_lost, say, write_all},
    reason::why,
};

/// Runs a program: `main` gets the command line, and what it returns becomes the
/// exit code.
///
/// `--help` prints `usage` and exits with 0; a wrong flag prints it on standard
/// error and exits with 2. Any other error exits with 1 and one line. If a line of
/// output ([`say`]) could not be written, the exit code is 1 as well.
pub fn run(
    usage: &str,
    main: impl FnOnce(Arguments) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    forget_inherited_signals();
    survive_full_file();
    allow_descriptors();
    let code = match main(Arguments::from_env()) {
        Ok(code) => code,
        Err(error) if error.is::<Help>() => {
            say(usage.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => match error.downcast_ref::<lexopt::Error>() {
            Some(wrong) => {
                // Longer than a line of a log may be, and nothing runs yet.
                let text = format!("{wrong}\n\n{}\n", usage.trim_end());
                let _ = write_all(io::stderr(), text.as_bytes());
                ExitCode::from(2)
            }
            None => {
                complain(why(&error));
                ExitCode::FAILURE
            }
        },
    };
    if is_lost() { ExitCode::FAILURE } else { code }
}

/// Sets SIGINT, SIGTERM and SIGCHLD to their defaults, and blocks no signal.
///
/// A signal that is ignored or blocked stays so across exec (execve(2)). A shell
/// starts `chNN &` with SIGINT ignored; some supervisors ignore SIGCHLD, and then
/// waitpid(2) never finds an exited child.
fn forget_inherited_signals() {
    let default =
        SigAction::new(SigHandler::SigDfl, SaFlags::empty(), SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGCHLD] {
        // SAFETY: the default action runs no code of ours.
        let _ = unsafe { sigaction(signal, &default) };
    }
    let _ = sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None);
}

/// Handles SIGXFSZ, which kills a process that writes to a file of the largest size
/// (setrlimit(2), `RLIMIT_FSIZE`). Then write(2) fails with `EFBIG`: a server does
/// not die because its log is full. It is handled and not ignored, so that programs
/// that we start have the default again (execve(2)).
fn survive_full_file() {
    extern "C" fn ignore(_: c_int) {}
    let handler = SigHandler::Handler(ignore);
    let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler does nothing.
    let _ = unsafe { sigaction(Signal::SIGXFSZ, &action) };
}

/// Raises the soft limit on open descriptors to the hard limit, for this process
/// and its children (getrlimit(2)). A shell's soft limit is 1,024, and a worker may
/// have 4,096 connections. Node raises it too.
fn allow_descriptors() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}
