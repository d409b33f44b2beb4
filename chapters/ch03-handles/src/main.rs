//! The parent listens and sends its listener to its children. They accept by
//! themselves.

mod parent;
mod tour;
mod worker;

use std::process::{self, ExitCode};

use ch01_fork_ipc::inherited_channel;
use ch03_handles::HandleChannel;
use cli::{Arguments, Options, log};
use parent::Parent;

const USAGE: &str = "\
Listens, sends the listener to every worker, and lets the workers serve.

Usage: ch03-handles [--addr 127.0.0.1] [--port 1337] [--workers N]
                    [--exec PROGRAM ARG...]
       ch03-handles tour [--exec PROGRAM ARG...]
       ch03-handles worker [NAME]

  --addr ADDR             listen on this address
  --port PORT             listen on this port; 0 takes a free one
  --workers N             1 to 1024 workers; by default as many as there are CPUs
  --exec PROGRAM ARG...   run PROGRAM as the workers
  --help                  show this

  tour     send one handle of each type to a child, which uses it
  worker   a child: serves a listener that arrives with the message 'server',
           reports what any other handle is, and uses it (needs a channel)
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
        if process::id() == 1 {
            log("this is process 1, and no signal ends it: start it with an init");
        }
        let listener = options.listen()?;
        Parent::start(listener, options.workers, || options.worker())?.run()
    })
}

fn tour(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut options = Options::new(&["--exec"]);
    while let Some(word) = arguments.word()? {
        options.take(&word, &mut arguments)?;
    }
    tour::run(options.worker()?)
}

fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    arguments.worker_name()?;
    // SAFETY: nothing has run yet that could have started a thread or opened a
    // descriptor.
    let stream = unsafe { inherited_channel() }?;
    worker::run(HandleChannel::new(stream)?)
}
