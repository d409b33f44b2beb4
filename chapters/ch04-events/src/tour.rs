//! The guided tour: every way in which a child can end, and what its parent hears.

use std::process::{Command, ExitCode};

use ch04_events::{Children, Event, Id};
use cli::{Options, complain, say};
use nix::sys::signal::{Signal, raise};
use serde_json::Value;

use crate::watch::event_json;

/// A stop on the tour: a title, the child that is started, and what is done to it when it says that
/// it is ready.
type Stop = (&'static str, &'static str, fn(&mut Children, Id));

// ANCHOR: stops
const STOPS: [Stop; 9] = [
    ("A child says something and ends", "says-hi", |_, _| {}),
    ("A child ends with a code", "exits-7", |_, _| {}),
    ("A child is killed, with the signal that kill(1) sends", "waits", kill),
    ("A child traps that signal, and exits with 1", "traps-sigterm", kill),
    ("A child sends the signal to itself", "signals-itself", |_, _| {}),
    ("A child cannot be started", "", |_, _| {}),
    ("A child closes the channel", "disconnects", |_, _| {}),
    ("The parent closes the channel", "waits", Children::disconnect),
    (
        "The parent closes the channel, and sends all the same",
        "waits",
        |children, child| {
            children.disconnect(child);
            children.send(child, &Value::from("are you there?"));
        },
    ),
];
// ANCHOR_END: stops

fn kill(children: &mut Children, child: Id) {
    children.kill(child, Signal::SIGTERM);
}

// ANCHOR: run
/// Goes from stop to stop. A signal to this process is an event like the others, and ends it.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut children =
        Children::new(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1])?;
    for (number, (title, child, when_ready)) in STOPS.iter().enumerate() {
        say(format_args!("{}. {title}", number + 1));
        let command = command(options, child)?;
        let child = children.spawn(command);
        if let Some(code) = follow(&mut children, child, when_ready)? {
            return Ok(code);
        }
    }
    say(format_args!("{}. The parent itself gets a signal", STOPS.len() + 1));
    raise(Signal::SIGUSR1)?;
    for event in children.wait(None)? {
        if let Event::Signal(signal) = event {
            say(format_args!("   signal {signal}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
// ANCHOR_END: run

fn command(options: &Options, child: &str) -> anyhow::Result<Command> {
    if child.is_empty() {
        return Ok(Command::new("./no-such-program"));
    }
    let mut command = options.worker()?;
    command.arg(child);
    Ok(command)
}

// ANCHOR: follow
/// Prints the events of `child` until there will be no more. A code, if this process is to end.
fn follow(
    children: &mut Children,
    child: Id,
    when_ready: &fn(&mut Children, Id),
) -> anyhow::Result<Option<ExitCode>> {
    loop {
        for event in children.wait(None)? {
            if let Some(event) = event_json(&event, children) {
                say(format_args!("   {}", sentence(&event)));
            }
            match event {
                Event::Message(_, message, _) if message == "ready" => {
                    when_ready(children, child);
                }
                Event::Close(..) => return Ok(None),
                Event::Signal(signal) => {
                    complain(format_args!(
                        "got {signal}, and so the tour ends here"
                    ));
                    children.kill(child, Signal::SIGKILL);
                    return Ok(Some(ExitCode::from(128 + signal as u8)));
                }
                _ => {}
            }
        }
    }
}
// ANCHOR_END: follow

/// `exit        code 7, signal null`
fn sentence(event: &Value) -> String {
    let name = event["event"].as_str().unwrap_or_default();
    let fields =
        event.as_object().into_iter().flatten().filter(|(key, _)| *key != "event");
    let fields: Vec<String> =
        fields.map(|(key, value)| format!("{key} {value}")).collect();
    format!("{name:11} {}", fields.join(", ")).trim_end().to_owned()
}
