// ANCHOR: imports
//! Runs any program as a child with a channel, and prints its events as JSON.

use std::{
    mem,
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ch01_fork_ipc::ExitStatus;
use ch04_events::{Children, Event, Id, Outcome};
use cli::{Arguments, pass_on, say, unexpected, wrong};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::signal_table;
// ANCHOR_END: imports

// ANCHOR: plan
/// How long the child may take to exit after a signal to this program.
const GRACE: Duration = Duration::from_secs(5);

/// What to do to the child, and when: so long after its start, or at its first
/// message.
#[derive(Default)]
struct Plan {
    kill: Option<Signal>,
    disconnect: bool,
    after: Option<Duration>,
}
// ANCHOR_END: plan

// ANCHOR: run
/// Watches the program that the command line names until its last event.
pub fn run(mut arguments: Arguments) -> anyhow::Result<ExitCode> {
    let mut plan = Plan::default();
    let program = loop {
        match arguments.word()?.as_deref() {
            Some("--kill") => {
                plan.kill = Some(signal_table::parse(&arguments.value()?)?);
            }
            Some("--disconnect") => plan.disconnect = true,
            Some("--after") => {
                let most = u64::from(u32::MAX);
                let milliseconds = arguments.number("--after", 0, most)?;
                plan.after = Some(Duration::from_millis(milliseconds));
            }
            Some(flag) if flag.starts_with('-') => return Err(unexpected(flag)),
            Some(program) => break program.to_owned(),
            None => return Err(wrong("watch needs a program to run, after '--'")),
        }
    };
    let mut command = Command::new(program);
    command.args(arguments.remaining());
    // Standard output is for the events.
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    watch(command, plan)
}
// ANCHOR_END: run

// ANCHOR: watch
fn watch(command: Command, mut plan: Plan) -> anyhow::Result<ExitCode> {
    let signals = [Signal::SIGINT, Signal::SIGTERM];
    let mut children = Children::new(&signals).context("cannot handle signals")?;
    let child = children.spawn(command);
    let mut act_at = plan.after.map(|after| Instant::now() + after);
    let mut kill_at = None;
    loop {
        for event in children.wait(act_at.into_iter().chain(kill_at).min())? {
            if let Some(line) = event_json(&event, &children) {
                say(line);
            }
            match event {
                Event::Message(..) if plan.after.is_none() => {
                    plan.carry_out(&mut children, child);
                }
                Event::Output(_, bytes) => pass_on(&bytes),
                Event::Close(..) => return Ok(ExitCode::SUCCESS),
                // The first signal is passed on to the child. The second one
                // kills it.
                Event::Signal(signal) if kill_at.is_none() => {
                    children.kill(child, signal);
                    kill_at = Some(Instant::now() + GRACE);
                }
                Event::Signal(_) => kill_at = Some(Instant::now()),
                _ => {}
            }
        }
        let seen = children.seen();
        if act_at.take_if(|at| *at <= seen).is_some() {
            plan.carry_out(&mut children, child);
        }
        if kill_at.is_some_and(|at| at <= seen) {
            children.kill(child, Signal::SIGKILL);
            return Ok(ExitCode::FAILURE);
        }
    }
}
// ANCHOR_END: watch

// ANCHOR: carry_out
impl Plan {
    /// Does what was planned, once.
    fn carry_out(&mut self, children: &mut Children, child: Id) {
        if mem::take(&mut self.disconnect) {
            children.disconnect(child);
        }
        if let Some(signal) = self.kill.take() {
            children.kill(child, signal);
        }
    }
}
// ANCHOR_END: carry_out

// ANCHOR: event_json
/// An event with what Node passes to its callback. `None`: Node has no such event.
pub fn event_json(event: &Event, children: &Children) -> Option<Value> {
    Some(match event {
        Event::Spawn(id) => {
            let pid = children.pid(*id).map(|pid| pid.as_raw());
            json!({"event": "spawn", "pid": pid})
        }
        Event::Message(_, message, _) => {
            json!({"event": "message", "message": message})
        }
        Event::Disconnect(_) => json!({"event": "disconnect"}),
        Event::Exit(_, status) => outcome_json("exit", Ok(*status)),
        Event::Close(_, outcome) => outcome_json("close", *outcome),
        Event::Error(_, error) => {
            let message = error.to_string();
            json!({"event": "error", "code": error.code(), "message": message})
        }
        Event::Acked(_)
        | Event::Returned(..)
        | Event::Output(..)
        | Event::Readable
        | Event::Signal(_) => return None,
    })
}

/// A code or a signal, never both. The code of a child that could not be
/// started is the number of the error, negative.
fn outcome_json(event: &str, outcome: Outcome) -> Value {
    let code = match outcome {
        Ok(ExitStatus::Exited(code)) => Some(code),
        Ok(_) => None,
        Err(errno) => Some(-(errno as i32)),
    };
    let signal = outcome.ok().and_then(ExitStatus::signal);
    json!({"event": event, "code": code, "signal": signal})
}
// ANCHOR_END: event_json
