//! The parent listens and gives the listener away. Its children accept by themselves.

mod parent;
mod tour;
mod worker;

use std::process::ExitCode;

use ch01_fork_ipc::{inherited_channel, leave_signals_to_parent, signals_end};
use ch03_handles::HandleChannel;
use cli::{Arguments, Options};
use nix::sys::signal::Signal;

const USAGE: &str = "\
Listens, sends the listener to every worker, and lets them serve.

Usage: ch03-handles [--addr 127.0.0.1] [--port 1337] [--workers N] [--exec PROGRAM ARG...]
       ch03-handles tour [--exec PROGRAM ARG...]
       ch03-handles worker [NAME]

  --addr ADDR             listen on this address
  --port PORT             listen on this port; 0 takes a free one
  --workers N             1 to 1024 workers; as many as there are CPUs, where not given
  --exec PROGRAM ARG...   run PROGRAM as the workers
  --help                  show this

  tour                    send one handle of each type to a child, which uses it
  worker                  a child: serves a listener that comes with the message \"server\";
                          tells what any other handle is, and uses it (needs a channel)
";

fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options =
            Options::new(&["--addr", "--port", "--workers", "--exec"]);
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return worker(arguments),
                "tour" => return tour(arguments),
                other => options.take(other, &mut arguments)?,
            }
        }
        parent::share_listener(&options)
    })
}

fn tour(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut options = Options::new(&["--exec"]);
    while let Some(word) = arguments.word()? {
        options.take(&word, &mut arguments)?;
    }
    tour::run(&options)
}

fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    arguments.worker_name()?;
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    let stream = unsafe { inherited_channel() }?;
    leave_signals_to_parent()?;
    signals_end(&stream, &[Signal::SIGTERM])?;
    worker::run(HandleChannel::new(stream)?)
}
