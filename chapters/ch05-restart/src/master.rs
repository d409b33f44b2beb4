// ANCHOR: top
//! The master: waits for events, tells the supervisor, and does what it decides.

use std::{fmt::Display, net::TcpListener, process::ExitCode, time::Instant};

use anyhow::Context as _;
use ch03_handles::Handle;
use ch04_events::{Children, Event, Id};
use ch05_restart::{Action, Input, Supervisor};
use cli::{LogLimit, Options, complain, log, reason};
use nix::sys::signal::Signal;
use serde_json::Value;
// ANCHOR_END: top

// ANCHOR: fields
/// The parent of the workers: one thread, one loop. It never accepts a connection.
struct Master<'a> {
    options: &'a Options,
    crash_after: u64,
    children: Children,
    supervisor: Supervisor,
    /// For the workers that start later. `None`: the server stops.
    listener: Option<TcpListener>,
    /// For what workers can say without end, and do wrong without end.
    messages: LogLimit,
    errors: LogLimit,
}
// ANCHOR_END: fields

// ANCHOR: run
/// Runs until a signal stops the server.
pub fn run(options: &Options, crash_after: u64) -> anyhow::Result<ExitCode> {
    let mut master = Master::new(options, crash_after)?;
    let mut seen = Instant::now();
    loop {
        for action in master.supervisor.decide(seen, Instant::now()) {
            match action {
                Action::Start => master.start()?,
                Action::Disconnect(id) => master.disconnect(id),
                Action::Terminate(id) => master.children.kill(id, Signal::SIGTERM),
                Action::Kill(id) => master.children.kill(id, Signal::SIGKILL),
                Action::LogPause(pause) => log(format_args!(
                    "a worker never got ready: the next one starts in {} ms",
                    pause.as_millis()
                )),
                Action::LogFull(count) => log(format_args!(
                    "{count} workers run: none starts before another one exits"
                )),
                Action::Exit { forced: false } => return Ok(ExitCode::SUCCESS),
                Action::Exit { forced: true } => return Ok(ExitCode::FAILURE),
            }
        }
        seen = Instant::now();
        let events = master.children.wait(master.supervisor.deadline());
        for event in events.context("cannot wait for events")? {
            master.on_event(event);
        }
    }
}
// ANCHOR_END: run

impl Master<'_> {
    // ANCHOR: new
    fn new(options: &Options, crash_after: u64) -> anyhow::Result<Master<'_>> {
        let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
        let children = Children::new(&signals).context("cannot handle signals")?;
        let listener = Some(options.listen()?);
        // Our own worker handles SIGTERM. Another program may die of it at once.
        let supervisor = Supervisor::new(options.workers)
            .disconnect_first(options.exec.is_some());
        let (messages, errors) = (LogLimit::new(), LogLimit::new());
        Ok(Master {
            options,
            crash_after,
            children,
            supervisor,
            listener,
            messages,
            errors,
        })
    }
    // ANCHOR_END: new

    // ANCHOR: start
    /// Starts a worker and sends it the listener.
    fn start(&mut self) -> anyhow::Result<()> {
        let mut command = self.options.worker()?;
        if self.options.exec.is_none() {
            command.arg("--crash-after").arg(self.crash_after.to_string());
        }
        let id = self.children.spawn(command);
        self.record(Input::Started(id));
        let (Some(_), Some(listener)) = (self.children.pid(id), &self.listener)
        else {
            return Ok(()); // it could not be started: that is an event
        };
        self.log_worker(id, "started");
        match listener.try_clone() {
            Ok(copy) => {
                let handle = Handle::TcpListener(copy);
                self.children.send_handle(id, Value::from("server"), handle);
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
    fn on_event(&mut self, event: Event) {
        match event {
            // The only handle that a worker is sent is its listener.
            Event::Acked(id) => {
                self.log_worker(id, "is ready");
                self.record(Input::Ready(id));
            }
            // Without a listener, a worker is of no use.
            Event::Returned(id, ..) => self.children.kill(id, Signal::SIGKILL),
            Event::Message(id, message, _) if message["act"] == "suicide" => {
                if self.record(Input::Draining(id)) {
                    self.log_worker(id, "drains: it answers its open connections");
                }
            }
            Event::Message(id, message, _) => {
                let line = format!("{} says {message}", self.name(id));
                self.messages.log(Instant::now(), line);
            }
            Event::Exit(id, status) => {
                self.log_worker(id, status);
                self.record(Input::Exited(id));
                // A descendant that inherited the channel would keep it open.
                self.disconnect(id);
            }
            // The worker could not be started, so there is no `Exit`.
            Event::Close(id, Err(_)) => {
                self.record(Input::Exited(id));
            }
            Event::Error(id, error) => {
                let line = format!("{}: {error}", self.name(id));
                self.errors.complain(Instant::now(), line);
            }
            Event::Signal(signal) => self.on_signal(signal),
            Event::Spawn(_)
            | Event::Output(..)
            | Event::Disconnect(_)
            | Event::Close(_, Ok(_)) => {}
        }
    }
    // ANCHOR_END: on_event

    // ANCHOR: on_signal
    fn on_signal(&mut self, signal: Signal) {
        if self.listener.take().is_some() {
            // From now on, clients that connect are refused once the workers have
            // closed their copies.
            log(format_args!(
                "got {signal}: the workers answer their open connections \
                 (once more: end at once)"
            ));
        }
        self.record(Input::Stop);
    }
    // ANCHOR_END: on_signal

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

    fn log_worker(&self, id: Id, what: impl Display) {
        log(format_args!("{} {what}", self.name(id)));
    }

    fn name(&self, id: Id) -> String {
        match self.children.pid(id) {
            Some(pid) => format!("worker {pid}"),
            None => "a worker".to_owned(),
        }
    }
    // ANCHOR_END: helpers
}
