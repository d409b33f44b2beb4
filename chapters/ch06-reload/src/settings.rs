// ANCHOR: top
//! What the command line says, and the commands that follow from it.

use std::{
    ffi::OsString, io, os::unix::process::CommandExt as _, path::PathBuf,
    process::Command,
};

use ch06_reload::{
    Config,
    upgrade::{take_over_command, this_program},
};
use nix::sys::signal::{SigHandler, Signal, signal};

use crate::master::SIGNALS;
// ANCHOR_END: top

// ANCHOR: variables
/// Variables of the environment that are for the master, and not for its workers.
const MASTER_VARIABLES: [&str; 4] =
    ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDNAMES"];
// ANCHOR_END: variables

// ANCHOR: settings
/// What the command line says.
pub struct Settings {
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--workers`: counts in place of what the file says.
    pub workers: Option<usize>,
    /// `--exec`.
    pub exec: Option<Vec<OsString>>,
    /// `--demo`.
    pub demo: bool,
    /// This program's file, as it was called.
    pub program: PathBuf,
    /// Its arguments, for the next program.
    pub arguments: Vec<OsString>,
}

// ANCHOR_END: settings

impl Settings {
    // ANCHOR: read
    /// The configuration, as the file is now.
    pub fn read(&self) -> anyhow::Result<Config> {
        let mut config = match &self.config {
            Some(path) => Config::read(path)?,
            None => Config::default(),
        };
        config.workers = self.workers.unwrap_or(config.workers);
        Ok(config)
    }

    // ANCHOR_END: read

    // ANCHOR: worker
    /// Makes the command of a worker with this configuration.
    pub fn worker(
        &self,
        config: &Config,
    ) -> impl Fn() -> anyhow::Result<Command> + 'static {
        let config = serde_json::to_string(config).expect("it has no odd types");
        let (exec, demo, file) =
            (self.exec.clone(), self.demo, self.program.clone());
        move || {
            let mut command = match exec.as_deref() {
                Some([program, arguments @ ..]) => {
                    let mut command = Command::new(program);
                    command.args(arguments);
                    command
                }
                _ => {
                    let mut command = this_program(&file);
                    command.arg("worker").arg(&config);
                    command.args(demo.then_some("--demo"));
                    ignores_master_signals(&mut command);
                    command
                }
            };
            for name in MASTER_VARIABLES {
                command.env_remove(name);
            }
            Ok(command)
        }
    }
    // ANCHOR_END: worker

    // ANCHOR: next_program
    /// The command that starts the program file as it is now, with a listener.
    pub fn next_program(&self) -> Command {
        let mut command = take_over_command(&self.program, &self.arguments);
        ignores_master_signals(&mut command);
        command
    }
    // ANCHOR_END: next_program
}

// ANCHOR: signals
/// The signals for the master may be sent to all processes of this name. A worker
/// ignores them from its first moment on: exec(2) keeps that. So does a new master,
/// until it handles them.
fn ignores_master_signals(command: &mut Command) {
    let ignore = || {
        for each in SIGNALS.into_iter().filter(|&it| it != Signal::SIGTERM) {
            // SAFETY: an ignored signal runs no code of ours.
            unsafe { signal(each, SigHandler::SigIgn) }.map_err(io::Error::from)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec, signal(2) is allowed (signal-safety(7)).
    unsafe { command.pre_exec(ignore) };
}
// ANCHOR_END: signals
