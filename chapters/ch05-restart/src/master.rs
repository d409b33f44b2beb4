//! The master: hears what happens, asks the supervisor what to do, and does it.

use std::{
    collections::{BTreeSet, VecDeque},
    net::TcpListener,
    os::fd::OwnedFd,
    process::ExitCode,
    time::Instant,
};

use ch02_balance::RoundRobin;
use ch03_handles::{Handle, Received};
use ch04_events::{ChildError, Children, Event, Id};
use ch05_restart::{Action, Input, Supervisor};
use cli::{Options, complain, log, reason};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Connections that may wait until a worker is ready.
const MAX_ADOPTED: usize = 1024;

/// The parent of chapter 5: one thread, one loop. It never accepts and never reads a request.
struct Master<'a> {
    options: &'a Options,
    crash_after: u64,
    children: Children,
    /// Kept to give to those who start later. It is never accepted from here.
    listener: Option<TcpListener>,
    /// Workers that have not acknowledged their listener.
    starting: BTreeSet<Id>,
    /// Connections that came back from workers which drain, and from whom: see [`Master::adopt`].
    adopted: VecDeque<(Id, OwnedFd)>,
    turn: RoundRobin,
    /// What the supervisor has not been told yet.
    inputs: VecDeque<Input>,
}

// ANCHOR: run
/// Runs until a signal asks it to end.
pub fn run(options: &Options, crash_after: u64) -> anyhow::Result<ExitCode> {
    // Before anything that a signal could leave half done.
    let children =
        Children::new(&[Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP])?;
    let listener = options.listen()?;
    listener.set_nonblocking(true)?;
    let mut supervisor = Supervisor::new(options.workers);
    let mut master = Master {
        options,
        crash_after,
        children,
        listener: Some(listener),
        starting: BTreeSet::new(),
        adopted: VecDeque::new(),
        turn: RoundRobin::default(),
        inputs: VecDeque::from([Input::Tick]),
    };
    loop {
        while let Some(input) = master.inputs.pop_front() {
            for action in supervisor.step(Instant::now(), input) {
                if let Action::Exit { forced } = action {
                    return Ok(if forced {
                        ExitCode::FAILURE
                    } else {
                        ExitCode::SUCCESS
                    });
                }
                master.act(action)?;
            }
        }
        master.place_adopted(&supervisor);
        for event in master.children.wait(supervisor.deadline())? {
            master.hear(event);
        }
        master.inputs.push_back(Input::Tick);
    }
}
// ANCHOR_END: run

impl Master<'_> {
    // ANCHOR: act
    /// Does what the supervisor has decided.
    fn act(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Start => self.start()?,
            Action::Drain(id) => {
                // There will be nobody to adopt what it gives back.
                if self.children.connected(id) {
                    self.children.send(id, &json!({"act": "keep"}));
                }
                self.children.kill(id, Signal::SIGTERM);
            }
            Action::Kill(id) => self.children.kill(id, Signal::SIGKILL),
            Action::CloseListener => self.listener = None,
            Action::Say(what) => log(what),
            Action::Exit { .. } => {}
        }
        Ok(())
    }
    // ANCHOR_END: act

    // ANCHOR: start
    /// Starts a worker and sends it the listener.
    fn start(&mut self) -> anyhow::Result<()> {
        let mut command = self.options.worker()?;
        if self.options.exec.is_none() {
            command.arg("--crash-after").arg(self.crash_after.to_string());
        }
        let id = self.children.spawn(command);
        self.inputs.push_back(Input::Started(id));
        self.starting.insert(id);
        let (Some(pid), Some(listener)) = (self.children.pid(id), &self.listener)
        else {
            return Ok(());
        };
        log(format_args!("worker {pid} started"));
        match listener.try_clone() {
            Ok(copy) => {
                // First: what is sent behind a handle waits until that is acknowledged.
                self.children.send(id, &json!({"act": "adopts"}));
                self.children.send_handle(
                    id,
                    Value::from("server"),
                    Handle::TcpListener(copy),
                );
            }
            Err(error) => {
                complain(format_args!(
                    "cannot copy the listener: {}",
                    reason(&error)
                ));
                self.children.kill(id, Signal::SIGKILL);
            }
        }
        Ok(())
    }
    // ANCHOR_END: start

    // ANCHOR: hear
    /// Translates an event for the supervisor, and tells the user.
    fn hear(&mut self, event: Event) {
        match event {
            // The first handle is the listener; connections come later.
            Event::Acked(id) if self.starting.remove(&id) => {
                self.say_of(id, "is ready");
                self.inputs.push_back(Input::Ready(id));
            }
            Event::Message(id, received)
                if received.message["act"] == "suicide" =>
            {
                self.say_of(id, "drains: it finishes what it has");
                self.inputs.push_back(Input::Suicide(id));
                // If all end, there will be no replacement to take those who wait in the backlog.
                let answer = if self.listener.is_some() { "go" } else { "keep" };
                if self.children.connected(id) {
                    self.children.send(id, &json!({"act": answer}));
                }
            }
            Event::Message(
                id,
                Received { message, handle: Some(Handle::Tcp(stream)), .. },
            ) if message["act"] == "adopt" => {
                self.adopt(id, stream.into());
            }
            Event::Message(id, received) => {
                self.say_of(id, format!("says {}", received.message))
            }
            Event::Unacknowledged(id, message, fd) if message == "connection" => {
                self.adopt(id, fd)
            }
            Event::Exit(id, ended) => {
                self.say_of(id, ended);
                self.inputs.push_back(Input::Gone(id));
                self.starting.remove(&id);
                // A shell that was the worker may have left the real one behind. This ends that.
                if self.children.connected(id) {
                    self.children.disconnect(id);
                }
            }
            // It was never started: there is no exit.
            Event::Close(id, Err(_)) => {
                self.inputs.push_back(Input::Gone(id));
                self.starting.remove(&id);
            }
            Event::Error(id, error) => {
                let pid = self
                    .children
                    .pid(id)
                    .map(|pid| format!(" {pid}"))
                    .unwrap_or_default();
                complain(format_args!("worker{pid}: {error}"));
                // Without its listener it is of no use.
                if matches!(error, ChildError::Refused | ChildError::Send(_)) {
                    self.children.kill(id, Signal::SIGKILL);
                }
            }
            Event::Signal(signal) => {
                log(format_args!(
                    "got {signal}: the workers finish what they have (once more: end at once)"
                ));
                self.inputs.push_back(Input::Terminate);
            }
            Event::Spawn(_)
            | Event::Acked(_)
            | Event::Unacknowledged(..)
            | Event::Output(..)
            | Event::Disconnect(_)
            | Event::Close(..) => {}
        }
    }
    // ANCHOR_END: hear

    // ANCHOR: adopt
    /// A worker that drains gives back a connection on which nothing is asked, or one has ended
    /// without having acknowledged it. Chapter 2 again: the descriptor travels, and the client does
    /// not notice. Nothing is read from it here.
    fn adopt(&mut self, from: Id, connection: OwnedFd) {
        if self.adopted.len() < MAX_ADOPTED {
            self.adopted.push_back((from, connection));
        } else {
            complain("too many connections wait for a worker: one is closed");
        }
    }
    // ANCHOR_END: adopt

    // ANCHOR: place_adopted
    /// Gives adopted connections to the workers that are ready, in turn. When everything ends, none
    /// is: then they go to one that drains, if possible to that from which they came.
    fn place_adopted(&mut self, supervisor: &Supervisor) {
        let ready: Vec<Id> = supervisor.ready().collect();
        while let Some((from, connection)) = self.adopted.pop_front() {
            let worker = match self.turn.pick(ready.len(), |_| true) {
                Some(turn) => ready[turn],
                None if self.listener.is_some() => {
                    return self.adopted.push_front((from, connection));
                }
                None => {
                    let mut others = [from].into_iter().chain(supervisor.living());
                    let Some(other) =
                        others.find(|&id| self.children.connected(id))
                    else {
                        return;
                    };
                    other
                }
            };
            let handle = Handle::Tcp(connection.into());
            self.children.send_handle(worker, Value::from("connection"), handle);
        }
    }
    // ANCHOR_END: place_adopted

    fn say_of(&self, id: Id, what: impl std::fmt::Display) {
        match self.children.pid(id) {
            Some(pid) => log(format_args!("worker {pid} {what}")),
            None => log(format_args!("a worker {what}")),
        }
    }
}
