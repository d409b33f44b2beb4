//! One child by fork(2), one by fork + exec. Both are greeted over a channel, and waited for.

use std::{
    os::unix::net::UnixStream,
    process::{self, ExitCode},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use ch01_fork_ipc::{Channel, Child, RecvError, inherited_channel, is_internal};
use cli::{Arguments, Options, say};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

const USAGE: &str = "\
One child by fork(2), one by fork + exec; a channel to each.

Usage: ch01-fork-ipc [--exec PROGRAM ARG...]
       ch01-fork-ipc worker [NAME]

  --exec PROGRAM ARG...   run PROGRAM as the second child, for example: --exec node child.js
  --help                  show this

  worker                  a child: answers each message with the same message (needs a channel)
";

/// How long a greeted child may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // The command line, which all chapters share, is in `chapters/support/cli`.
    cli::run(USAGE, |mut arguments| {
        let mut options = Options::new(&["--exec"]);
        while let Some(word) = arguments.word()? {
            match &*word {
                "worker" => return worker(arguments),
                other => options.take(other, &mut arguments)?,
            }
        }
        two_children(&options)
    })
}

// ANCHOR: two_children
/// The parent.
fn two_children(options: &Options) -> anyhow::Result<ExitCode> {
    say(format_args!("parent {}: starting two children", process::id()));
    // SAFETY: this process has one thread, and `echo` owns nothing but its stream.
    let forked = unsafe { Child::fork(|stream| exit_code(echo(stream))) };
    let forked = forked.context("cannot fork")?;

    let command = options.worker()?;
    let program = command.get_program().to_string_lossy().into_owned();
    let executed =
        Child::spawn(command).with_context(|| format!("cannot start {program}"))?;

    let greeted = greet("fork", forked.0, forked.1);
    greet("fork + exec", executed.0, executed.1).and(greeted)?;
    Ok(ExitCode::SUCCESS)
}
// ANCHOR_END: two_children

// ANCHOR: greet
/// Says hello, hears the answer, closes the channel and waits until the child has ended.
fn greet(how: &str, mut child: Child, stream: UnixStream) -> anyhow::Result<()> {
    let me = format!("parent {}", process::id());
    let pid = child.pid();
    stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    let mut channel = Channel::new(stream);

    let greeting = json!({"hello": format!("child {pid}"), "made by": how});
    say(format_args!("{me}: to {pid}: {greeting}"));
    let heard = match channel.send(&greeting) {
        Ok(()) => answer(&mut channel),
        Err(error) => Err(error.into()),
    };
    if let Ok(answer) = &heard {
        say(format_args!("{me}: from {pid}: {answer}"));
    }

    // The child reads to the end of its channel. This is the end. One that has not answered may not
    // care for that.
    drop(channel);
    if heard.is_err() {
        let _ = child.kill(Signal::SIGKILL);
    }
    let ended = child.wait().with_context(|| format!("cannot wait for {pid}"))?;
    say(format_args!("{me}: child {pid} {ended}"));
    heard.map(drop).with_context(|| format!("child {pid}"))
}
// ANCHOR_END: greet

/// The first message that is not the transport's own.
fn answer(channel: &mut Channel<UnixStream>) -> anyhow::Result<Value> {
    loop {
        match channel.recv() {
            Ok(Some(message)) if is_internal(&message) => {}
            Ok(Some(message)) => return Ok(message),
            Ok(None) => {
                return Err(anyhow!("it closed the channel without an answer"));
            }
            Err(error) if error.would_block() => {
                return Err(anyhow!(
                    "no answer in {} seconds",
                    ANSWER_TIMEOUT.as_secs()
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// The child that is made by exec: it finds its channel in the environment.
fn worker(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    arguments.worker_name()?;
    // SAFETY: nothing has run yet that could have started a thread or opened a descriptor.
    let stream = unsafe { inherited_channel() }?;
    echo(stream)?;
    Ok(ExitCode::SUCCESS)
}

// ANCHOR: echo
/// What both children do: send every message back, until the parent closes the channel.
fn echo(stream: UnixStream) -> anyhow::Result<()> {
    let mut channel = Channel::new(stream);
    loop {
        match channel.recv() {
            Ok(Some(message)) if is_internal(&message) => {}
            Ok(Some(message)) => {
                say(format_args!(
                    "child  {}: received {}",
                    process::id(),
                    shortened(&message)
                ));
                channel.send(&message)?;
            }
            Ok(None) => return Ok(()),
            // One bad line is no reason to give up the others.
            Err(error @ RecvError::Json(_)) => cli::complain(error),
            Err(error) => return Err(error.into()),
        }
    }
}
// ANCHOR_END: echo

/// At most 80 characters of a message: it may have 16 MiB.
fn shortened(message: &Value) -> String {
    let text = message.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A forked child has no `main` to return to; it reports its own errors.
fn exit_code(result: anyhow::Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => {
            cli::complain(cli::why(&error));
            1
        }
    }
}
