// ANCHOR: top
//! The master: waits for events, tells the supervisor, and does what it decides.

use std::{
    collections::BTreeMap,
    fmt::Display,
    net::TcpListener,
    ops::ControlFlow,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::Context as _;
use ch03_handles::Handle;
use ch04_events::{Children, Event, Id};
use cli::{LogLimit, complain, log, reason};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{Action, Input, Supervisor};
// ANCHOR_END: top

// ANCHOR: fields
/// The parent of the workers: one thread, one loop. It never accepts a connection.
pub struct Master {
    /// The workers, and the signals to this process.
    pub children: Children,
    /// What is decided about the workers.
    pub supervisor: Supervisor,
    /// What a worker is sent with its listener.
    pub message: Value,
    /// Makes the command that starts a worker.
    worker: Box<dyn Fn() -> anyhow::Result<Command>>,
    /// For the workers that start later. `None`: the server stops.
    listener: Option<TcpListener>,
    /// For the lines about workers that start and exit.
    lives: LogLimit,
    /// For what each worker says and does wrong.
    limits: BTreeMap<Id, Limits>,
    /// For the workers whose start was left out of the log.
    shared_limits: Limits,
}

/// What a worker can make us log without end. Each has its own limits: a noisy
/// worker must not hide the errors of another one.
#[derive(Default)]
struct Limits {
    messages: LogLimit,
    errors: LogLimit,
}

/// Lines about workers that start and exit, until these are limited to ten a second.
const LIVES: u32 = 10_000;
// ANCHOR_END: fields

impl Master {
    // ANCHOR: new
    /// A master that starts its workers with the command that `worker` returns, and
    /// sends each of them `listener`.
    pub fn new(
        children: Children,
        supervisor: Supervisor,
        listener: TcpListener,
        worker: impl Fn() -> anyhow::Result<Command> + 'static,
    ) -> Master {
        Master {
            children,
            supervisor,
            message: Value::from("server"),
            worker: Box::new(worker),
            listener: Some(listener),
            lives: LogLimit::with_burst(LIVES),
            limits: BTreeMap::new(),
            shared_limits: Limits::default(),
        }
    }
    // ANCHOR_END: new

    // ANCHOR: set_worker
    /// Workers that start from now on are started with this command.
    pub fn set_worker(
        &mut self,
        worker: impl Fn() -> anyhow::Result<Command> + 'static,
    ) {
        self.worker = Box::new(worker);
    }

    /// Workers that start from now on are sent a copy of this listener. Does nothing
    /// if the server stops.
    pub fn set_listener(&mut self, listener: TcpListener) {
        if self.listener.is_some() {
            self.listener = Some(listener);
        }
    }
    // ANCHOR_END: set_worker

    // ANCHOR: run
    /// Runs until a signal stops the server. Returns its exit code.
    ///
    /// # Errors
    /// If a worker's command cannot be made, and those of poll(2).
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        loop {
            match self.turn(None)? {
                ControlFlow::Break(exit_code) => return Ok(exit_code),
                ControlFlow::Continue(events) => {
                    for event in events {
                        match event {
                            Event::Signal(signal) => {
                                self.stop(format_args!("got {signal}"));
                            }
                            Event::Message(id, message, _) => {
                                self.log_message(id, &message);
                            }
                            _ => {}
                        }
                    }
                }
            }
        }
    }
    // ANCHOR_END: run

    // ANCHOR: turn
    /// One turn of the loop: does what the supervisor decides, waits, and records
    /// what happens. Returns that, after `until` at the latest; or the exit code.
    ///
    /// # Errors
    /// As [`run`](Master::run).
    pub fn turn(
        &mut self,
        until: Option<Instant>,
    ) -> anyhow::Result<ControlFlow<ExitCode, Vec<Event>>> {
        let seen = self.children.seen();
        for action in self.supervisor.decide(seen, Instant::now()) {
            if let Action::Exit { forced } = action {
                return Ok(ControlFlow::Break(ExitCode::from(u8::from(forced))));
            }
            self.carry_out(action)?;
        }
        let until = self.supervisor.deadline().into_iter().chain(until).min();
        let events = self.children.wait(until).context("cannot wait for events")?;
        for event in &events {
            self.on_event(event);
        }
        Ok(ControlFlow::Continue(events))
    }
    // ANCHOR_END: turn

    // ANCHOR: carry_out
    /// Does what the supervisor has decided.
    ///
    /// # Errors
    /// If a worker's command cannot be made.
    pub fn carry_out(&mut self, action: Action) -> anyhow::Result<()> {
        match action {
            Action::Start => self.start()?,
            Action::Disconnect(id) => self.disconnect(id),
            Action::Terminate(id) => self.children.kill(id, Signal::SIGTERM),
            Action::Kill(id) => self.children.kill(id, Signal::SIGKILL),
            Action::LogPause(pause) => {
                let pause = pause.as_millis();
                let line = format!(
                    "a worker never got ready: the next one starts in {pause} ms"
                );
                self.lives.log(Instant::now(), line);
            }
            Action::LogFull(count) => log(format_args!(
                "{count} workers run: none starts before another one exits"
            )),
            Action::Exit { .. } => {}
        }
        Ok(())
    }
    // ANCHOR_END: carry_out

    // ANCHOR: start
    /// Starts a worker and sends it the listener.
    fn start(&mut self) -> anyhow::Result<()> {
        let id = self.children.spawn((self.worker)()?);
        self.record(Input::Started(id));
        let (Some(_), Some(listener)) = (self.children.pid(id), &self.listener)
        else {
            return Ok(()); // it could not be started: that is an event
        };
        if self.log_worker(id, "started") {
            self.limits.insert(id, Limits::default());
        }
        match listener.try_clone() {
            Ok(copy) => {
                let handle = Handle::TcpListener(copy);
                self.children.send_handle(id, self.message.clone(), handle);
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

    // ANCHOR: on_event
    /// Translates an event for the supervisor, and logs it.
    fn on_event(&mut self, event: &Event) {
        match *event {
            // The first handle that a worker is sent is its listener.
            Event::Acked(id) => {
                if self.record(Input::Ready(id)) {
                    self.log_worker(id, "is ready");
                }
            }
            // Without a listener, a worker is of no use.
            Event::Returned(id, ..) if self.supervisor.is_starting(id) => {
                self.children.kill(id, Signal::SIGKILL);
            }
            Event::Message(id, ref message, _) if message["act"] == "suicide" => {
                if self.record(Input::Draining(id)) {
                    self.log_worker(id, "drains: it answers its open connections");
                }
            }
            Event::Exit(id, status) => {
                if self.record(Input::Exited(id)) {
                    self.log_worker(id, status);
                }
                // A descendant that inherited the channel would keep it open.
                self.disconnect(id);
            }
            Event::Close(id, outcome) => {
                self.limits.remove(&id);
                // A worker that could not be started has no `Exit`.
                if outcome.is_err() {
                    self.record(Input::Exited(id));
                }
            }
            Event::Error(id, ref error) => {
                let line = format!("{}: {error}", self.name(id));
                self.limits(id).errors.complain(Instant::now(), line);
            }
            // For the caller.
            Event::Signal(_)
            | Event::Readable
            | Event::Message(..)
            | Event::Returned(..)
            | Event::Spawn(_)
            | Event::Output(..)
            | Event::Disconnect(_) => {}
        }
    }
    // ANCHOR_END: on_event

    // ANCHOR: stop
    /// Stops the server. The second time: at once. The log says `why`.
    pub fn stop(&mut self, why: impl Display) {
        if self.listener.take().is_some() {
            // From now on, clients that connect are refused once the workers have
            // closed their copies.
            log(format_args!(
                "{why}: the workers answer their open connections \
                 (once more: end at once)"
            ));
        }
        self.record(Input::Stop);
    }
    // ANCHOR_END: stop

    // ANCHOR: helpers
    /// Closes the channel to a worker, if it is open.
    fn disconnect(&mut self, id: Id) {
        if self.children.connected(id) {
            self.children.disconnect(id);
        }
    }

    /// Returns whether that changes anything.
    fn record(&mut self, input: Input) -> bool {
        self.supervisor.record(Instant::now(), input)
    }

    /// Logs a message that means nothing to the master.
    pub fn log_message(&self, id: Id, message: &Value) {
        if message["act"] != "suicide" {
            let name = self.name(id);
            self.limits(id)
                .messages
                .log(Instant::now(), format_args!("{name} says {message}"));
        }
    }

    /// Returns whether the line was written.
    fn log_worker(&self, id: Id, what: impl Display) -> bool {
        self.lives.log(Instant::now(), format!("{} {what}", self.name(id)))
    }

    fn limits(&self, id: Id) -> &Limits {
        self.limits.get(&id).unwrap_or(&self.shared_limits)
    }

    /// A worker in words, for the log.
    pub fn name(&self, id: Id) -> String {
        match self.children.pid(id) {
            Some(pid) => format!("worker {pid}"),
            None => "a worker".to_owned(),
        }
    }
    // ANCHOR_END: helpers
}
