// ANCHOR: top
//! A server whose configuration, program and number of workers change while it runs.

mod master;
mod service;
mod settings;

use std::{
    env,
    path::{self, PathBuf},
    process::{self, ExitCode},
};

use anyhow::{Context as _, anyhow};
use ch01_fork_ipc::inherited_channel;
use ch03_handles::HandleChannel;
use ch04_events::{
    Children, SignalPipe, accept_hangup, ignore_terminal_signals, survive_parent,
};
use ch05_restart::Worker;
use ch06_reload::{
    Config, Files, Site,
    upgrade::{Inherited, take_over},
    worker,
};
use cli::{Arguments, Options, complain, log, say, unexpected, wrong};
use master::{Control, SIGNALS};
use nix::sys::signal::Signal;
use settings::Settings;
// ANCHOR_END: top

// ANCHOR: usage
const USAGE: &str = "\
Serves a folder or a greeting. Signals change it while it runs.

Usage: ch06-reload [--config FILE] [--check] [--addr 127.0.0.1] [--port 1337]
                   [--workers N] [--demo] [--exec PROGRAM ARG...]
       ch06-reload worker CONFIG [--demo] [NAME]

  --config FILE           read this file, and read it again at SIGHUP
  --check                 only check the file
  --addr ADDR             listen on this address
  --port PORT             listen on this port; 0 takes a free one
  --workers N             1 to 1024 workers, whatever the file says
  --demo                  /busy/MS, /loop, /panic, /abort: a worker fails
  --exec PROGRAM ARG...   run PROGRAM as the workers
  --help                  show this

Signals to the master:
  SIGHUP    read the file again, and replace the workers one by one
  SIGUSR2   start the program file anew; it takes over when it is ready
  SIGTTIN   a worker more           SIGTTOU   a worker fewer
  SIGUSR1   print the state of all workers as one line of JSON
  SIGTERM   answer what has come in, and exit; a second time: exit at once
";
// ANCHOR_END: usage

// ANCHOR: main
fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--addr", "--port", "--exec"]);
        let mut settings = Settings {
            config: None,
            workers: None,
            exec: None,
            demo: false,
            program: program_file()?,
            arguments: env::args_os().skip(1).collect(),
        };
        let mut check = false;
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return worker(arguments),
                "take-over" => return exec_program(arguments),
                "--config" => settings.config = Some(arguments.value()?.into()),
                "--check" => check = true,
                "--demo" => settings.demo = true,
                "--workers" => {
                    settings.workers =
                        Some(arguments.number("--workers", 1, 1024)?);
                }
                other => options.take(other, &mut arguments)?,
            }
        }
        settings.exec = options.exec.take();
        if check { check_config(&settings) } else { master(&options, settings) }
    })
}

/// The path of this program's file, as it was called: if that is a link, the program
/// that takes over is the one to which the link leads by then.
fn program_file() -> anyhow::Result<PathBuf> {
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let file = match called.components().count() > 1 {
        true => path::absolute(called),
        false => env::current_exe(),
    };
    file.context("cannot find this program's file")
}
// ANCHOR_END: main

// ANCHOR: check
fn check_config(settings: &Settings) -> anyhow::Result<ExitCode> {
    let Some(file) = &settings.config else {
        return Err(wrong("--check needs --config FILE"));
    };
    let config = settings.read()?;
    config.folder.as_deref().map(Files::read).transpose()?;
    say(format_args!("{}: no mistakes", file.display()));
    Ok(ExitCode::SUCCESS)
}
// ANCHOR_END: check

// ANCHOR: master
/// The parent.
fn master(options: &Options, settings: Settings) -> anyhow::Result<ExitCode> {
    let config = settings.read()?;
    // SAFETY: nothing has started a thread yet, or opened a descriptor.
    let inherited = unsafe { Inherited::take() }?;
    // nohup(1) has SIGHUP ignored, and a `SignalPipe` leaves it so. Here, a terminal
    // that closes ends nothing anyway.
    accept_hangup().context("cannot handle SIGHUP")?;
    // Before the address is logged: a script that waits for that line may send signals.
    let children = Children::new(&SIGNALS).context("cannot handle signals")?;
    let inherited = match inherited {
        Some(inherited) => {
            let address = inherited.listener.local_addr();
            let address = address.context("cannot use the listener")?;
            log(format_args!("listening on http://{address} (inherited)"));
            inherited
        }
        None => Inherited {
            listener: options.listen()?,
            is_shared: false,
            old_master: None,
        },
    };
    Control::new(settings, config, children, inherited)?.run()
}
// ANCHOR_END: master

// ANCHOR: worker
/// A child.
fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let (mut config, mut demo, mut name) = (None, false, None);
    while let Some(word) = arguments.word()? {
        match &*word {
            "--demo" => demo = true,
            _ if config.is_none() && word.starts_with('{') => config = Some(word),
            _ if name.is_none() && !word.starts_with('-') => name = Some(word),
            _ => return Err(unexpected(&word)),
        }
    }
    let config: Config = match config {
        Some(text) => serde_json::from_str(&text)
            .map_err(|error| wrong(format_args!("the configuration: {error}")))?,
        None => Config::default(),
    };
    // SAFETY: nothing has started a thread yet, or opened a descriptor.
    let stream = unsafe { inherited_channel() }?;
    ignore_terminal_signals().context("cannot ignore SIGINT")?;
    survive_parent().context("cannot outlive the master")?;
    let _ = nix::sys::prctl::set_name(c"ch06-reload");
    let signals =
        SignalPipe::new(&[Signal::SIGTERM]).context("cannot handle SIGTERM")?;
    let site = Site::new(&config, demo).unwrap_or_else(|error| {
        complain(error);
        // Returning would close the channel first, and the master kills a worker
        // that does that.
        process::exit(1)
    });
    let channel = HandleChannel::new(stream).context("cannot use the channel")?;
    let worker = Worker::new(site, channel, signals);
    let code = worker::run(worker, config.alive_limit);
    Ok(ExitCode::from(code.context("cannot wait for connections")?))
}
// ANCHOR_END: worker

// ANCHOR: exec_program
/// What the master starts at SIGUSR2: receives the listener and becomes the program.
fn exec_program(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    // SAFETY: nothing has started a thread yet, or opened a descriptor.
    let stream = unsafe { inherited_channel() }?;
    let channel = HandleChannel::new(stream).context("cannot use the channel")?;
    let mut words = arguments.remaining().into_iter();
    let program = words.next().ok_or_else(|| anyhow!("no program is named"))?;
    Err(take_over(channel, program, words.collect()))
}
// ANCHOR_END: exec_program
