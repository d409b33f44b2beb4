//! What a parent hears of its children: a guided tour, and `watch` for any program.

mod signal_table;
mod tour;
mod watch;
mod worker;

use std::process::ExitCode;

use cli::Options;

const USAGE: &str = "\
Starts children that end in all the ways there are, and prints each event as it comes.

Usage: ch04-events [--exec PROGRAM ARG...]
       ch04-events watch [--kill SIGNAL] [--after MS] [--disconnect] -- PROGRAM ARG...
       ch04-events signals
       ch04-events worker [NAME]

  --exec PROGRAM ARG...   run PROGRAM as the children; what to do is its last argument
  --help                  show this

  watch                   run PROGRAM with a channel; print one JSON object for each event
    --kill SIGNAL           send SIGNAL to the child (SIGTERM, TERM or 15)
    --disconnect            close the channel to the child
    --after MS              do so MS milliseconds after its start; where not given, when its
                            first message comes
  signals                 print the signals, and what each does by default
  worker                  a child: answers each message with the same message, unless NAME is
                          one of the tour's (needs a channel)
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
