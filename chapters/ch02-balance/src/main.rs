//! One process accepts, two answer: `normal` and `special`, in turn.

mod parent;
mod place;
mod worker;

use std::{ffi::OsStr, process::ExitCode};

use ch01_fork_ipc::{inherited_channel, leave_signals_to_parent, signals_end};
use ch02_balance::FdChannel;
use cli::{Arguments, Options, log};
use nix::sys::signal::Signal;
use parent::Balancer;
use worker::Worker;

const USAGE: &str = "\
Accepts connections and sends each to one of two children, in turn.

Usage: ch02-balance [--addr 127.0.0.1] [--port 1337] [--exec PROGRAM ARG...]
       ch02-balance worker [NAME]

  --addr ADDR             listen on this address
  --port PORT             listen on this port; 0 takes a free one
  --exec PROGRAM ARG...   run PROGRAM as the children; 'normal' or 'special' is its last argument
  --help                  show this

  worker                  a child: answers the connections that it is sent (needs a channel)

Ask it with: curl --http0.9 http://127.0.0.1:1337
";

fn main() -> ExitCode {
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--addr", "--port", "--exec"]);
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return answer(arguments),
                other => options.take(other, &mut arguments)?,
            }
        }
        balance(&options)
    })
}

// ANCHOR: balance
/// The parent. When it ends, its children see the end of their channels, and follow.
fn balance(options: &Options) -> anyhow::Result<ExitCode> {
    let listener = options.listen()?;
    if let Ok(address) = listener.local_addr() {
        // The reply has no header: that is HTTP as it was before 1.0.
        log(format_args!("ask it with: curl --http0.9 http://{address}"));
    }
    let command = |name: &OsStr| {
        let mut command = options.worker()?;
        command.arg(name);
        Ok(command)
    };
    Balancer::start(listener, ["normal", "special"], &command)?.run()
}
// ANCHOR_END: balance

// ANCHOR: answer
/// A child.
fn answer(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let name = arguments.worker_name()?.unwrap_or("no".to_owned());
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    let stream = unsafe { inherited_channel() }?;
    leave_signals_to_parent()?;
    signals_end(&stream, &[Signal::SIGTERM])?;
    Worker::new(&name, FdChannel::new(stream)?).run()?;
    Ok(ExitCode::SUCCESS)
}
// ANCHOR_END: answer
