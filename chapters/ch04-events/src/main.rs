//! The events of a child: a tour of them, and `watch` for any program.

mod signal_table;
mod tour;
mod watch;
mod worker;

use std::process::ExitCode;

use cli::Options;

const USAGE: &str = "\
Starts a child for each way in which a child can exit, and prints every event.

Usage: ch04-events [--exec PROGRAM ARG...]
       ch04-events watch [--kill SIGNAL] [--after MS] [--disconnect] -- PROGRAM ARG...
       ch04-events signals
       ch04-events worker [NAME]

  --exec PROGRAM ARG...   run PROGRAM as the children; its last argument says what to do
  --help                  show this

  watch                   run PROGRAM with a channel; print each event as JSON
    --kill SIGNAL           send SIGNAL to the child (SIGTERM, TERM or 15)
    --disconnect            close the channel to the child
    --after MS              do so MS milliseconds after the child's start; by
                            default, when its first message arrives
  signals                 print the signals, and what each does by default
  worker                  a child: sends every message back, or does what the
                          tour's child NAME does (needs a channel)
";

fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--exec"]);
        while let Some(word) = arguments.word()? {
            match &*word {
                "watch" => return watch::run(arguments),
                "worker" => return worker::run(arguments),
                "signals" => return signal_table::run(arguments),
                other => options.take(other, &mut arguments)?,
            }
        }
        tour::run(&options)
    })
}
