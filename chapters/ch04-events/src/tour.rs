// ANCHOR: imports
//! The tour: a child for each way to exit, and the events that its parent gets.

use std::process::{Command, ExitCode};

use anyhow::Context as _;
use ch04_events::{Children, Event, Id};
use cli::{Options, complain, say};
use nix::sys::signal::{Signal, raise};
use serde_json::Value;

use crate::watch::event_json;
// ANCHOR_END: imports

// ANCHOR: stops
/// A stop on the tour: its title, the name of the child that it starts, and
/// what the parent does when the child says that it is ready.
type Stop = (&'static str, &'static str, fn(&mut Children, Id));

const STOPS: [Stop; 9] = [
    ("A child sends a message and exits", "says-hi", |_, _| {}),
    ("A child exits with a code", "exits-7", |_, _| {}),
    ("A child is killed, with the signal that kill(1) sends", "waits", terminate),
    ("A child traps that signal, and exits with 1", "traps-sigterm", terminate),
    ("A child sends the signal to itself", "signals-itself", |_, _| {}),
    ("A child cannot be started", "", |_, _| {}),
    ("A child closes the channel", "disconnects", |_, _| {}),
    ("The parent closes the channel", "waits", Children::disconnect),
    (
        "The parent closes the channel, and sends all the same",
        "waits",
        send_too_late,
    ),
];
// ANCHOR_END: stops

// ANCHOR: actions
fn terminate(children: &mut Children, child: Id) {
    children.kill(child, Signal::SIGTERM);
}

fn send_too_late(children: &mut Children, child: Id) {
    children.disconnect(child);
    children.send(child, &Value::from("are you there?"));
}
// ANCHOR_END: actions

// ANCHOR: run
/// Visits every stop. A signal to this process is an event too, and stops the tour.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGUSR1];
    let mut children = Children::new(&signals).context("cannot handle signals")?;
    for (number, (title, child, when_ready)) in STOPS.iter().enumerate() {
        say(format_args!("{}. {title}", number + 1));
        let child = children.spawn(command(options, child)?);
        if let Some(code) = follow(&mut children, child, *when_ready)? {
            return Ok(code);
        }
    }
    say(format_args!("{}. The parent itself receives a signal", STOPS.len() + 1));
    raise(Signal::SIGUSR1)?;
    for event in children.wait(None)? {
        if let Event::Signal(signal) = event {
            say(format_args!("   signal      {signal}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
// ANCHOR_END: run

// ANCHOR: command
fn command(options: &Options, child: &str) -> anyhow::Result<Command> {
    if child.is_empty() {
        return Ok(Command::new("./no-such-program"));
    }
    let mut command = options.worker()?;
    command.arg(child);
    Ok(command)
}
// ANCHOR_END: command

// ANCHOR: follow
/// Prints the events of `child`, up to its last one. Returns an exit code if a
/// signal stops the tour.
fn follow(
    children: &mut Children,
    child: Id,
    when_ready: fn(&mut Children, Id),
) -> anyhow::Result<Option<ExitCode>> {
    loop {
        for event in children.wait(None)? {
            if let Some(event) = event_json(&event, children) {
                say(format_args!("   {}", as_text(&event)));
            }
            match event {
                Event::Message(_, message, _) if message == "ready" => {
                    when_ready(children, child);
                }
                Event::Close(..) => return Ok(None),
                Event::Signal(signal) => {
                    complain(format_args!("got {signal}: the tour stops here"));
                    children.kill(child, Signal::SIGKILL);
                    // What a shell shows for a process that was killed by a signal.
                    return Ok(Some(ExitCode::from(128 + signal as u8)));
                }
                _ => {}
            }
        }
    }
}
// ANCHOR_END: follow

// ANCHOR: as_text
/// An event in columns: `exit        code 7, signal null`.
fn as_text(event: &Value) -> String {
    let name = event["event"].as_str().unwrap_or_default();
    let fields = event.as_object().into_iter().flatten();
    let fields = fields.filter(|(key, _)| *key != "event");
    let fields: Vec<String> =
        fields.map(|(key, value)| format!("{key} {value}")).collect();
    format!("{name:11} {}", fields.join(", ")).trim_end().to_owned()
}
// ANCHOR_END: as_text
