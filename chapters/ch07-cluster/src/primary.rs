// ANCHOR: top
//! The primary: starts workers that share a port, and keeps so many of them running.
//!
//! It is made of what the chapters before have: chapter 5's master starts and
//! replaces workers, chapter 6's rollout replaces them one by one. New here is who
//! accepts.

use std::{
    collections::VecDeque,
    env,
    ffi::OsString,
    io::ErrorKind,
    net::TcpListener,
    ops::ControlFlow,
    os::fd::OwnedFd,
    process::{Command, ExitCode},
    time::Instant,
};

use anyhow::Context as _;
use ch01_fork_ipc::ExitStatus;
use ch03_handles::Handle;
use ch04_events::{Children, Event, Id, accept_hangup};
use ch05_restart::{Input, Master, Supervisor};
use ch06_reload::{
    Config, CrashLimit, Order, Rollout, SHORT_LIFE, Stage,
    backlog::{self, Closing},
    state_json,
};
use cli::{ACCEPT_PAUSE, LogLimit, complain, log, reason, say_if_room};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{
    Sharing,
    assignment::Assignment,
    introductions::{Introductions, Sent},
    serve::{WINDOW, raise_descriptor_limit},
    sharing::another_listener,
    slots::{Change, Slots},
};
// ANCHOR_END: top

// ANCHOR: is_primary
/// Whether this process is the primary, and no worker: like Node's
/// `cluster.isPrimary`. A worker has a channel to its primary. Ask before
/// [`serve`](fn@crate::serve), which takes the channel out of the environment.
pub fn is_primary() -> bool {
    env::var_os("NODE_CHANNEL_FD").is_none()
}
// ANCHOR_END: is_primary

// ANCHOR: setup
/// What is known before the workers start.
pub struct Primary {
    listener: TcpListener,
    sharing: Sharing,
    arguments: Vec<OsString>,
    workers: usize,
}

impl Primary {
    /// A primary of workers that share `listener`. It has no workers yet.
    pub fn new(listener: TcpListener, sharing: Sharing) -> Primary {
        let arguments = env::args_os().skip(1).collect();
        Primary { listener, sharing, arguments, workers: 0 }
    }

    /// Starts the workers with these arguments, and not with those of this process.
    pub fn arguments(
        mut self,
        arguments: impl IntoIterator<Item = impl Into<OsString>>,
    ) -> Primary {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// Wants one worker more, like Node's `cluster.fork()`. It is this program again,
    /// and starts in [`run`](Primary::run).
    pub fn fork(&mut self) {
        self.workers += 1;
    }

    /// Starts the workers, and replaces those that exit, until SIGTERM or SIGINT.
    /// Returns the exit code of the server.
    ///
    /// # Errors
    /// Those of a few system calls, at the start.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        Running::new(self)?.run()
    }
}
// ANCHOR_END: setup

// ANCHOR: limits
/// Connections that are accepted in a row.
const ACCEPTS_IN_A_ROW: usize = 64;

/// The most workers to which a worker that drains gives its connections.
const MOST_TAKERS: usize = 8;

/// Descriptors for other things than connections: for each worker, and besides.
const FDS_EACH: usize = 8;
const FDS_BESIDES: usize = 32;

/// The signals to this process that it handles.
const SIGNALS: [Signal; 6] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];
// ANCHOR_END: limits

// ANCHOR: fields
/// A primary whose workers run.
struct Running {
    master: Master,
    rollout: Rollout,
    crash_limit: CrashLimit,
    sharing: Sharing,
    /// One; with `SO_REUSEPORT` one for each worker.
    listeners: Vec<TcpListener>,
    slots: Slots,
    /// The listener of the worker that starts next.
    next_slot: usize,
    assignment: Assignment,
    introductions: Introductions,
    /// Connections that came back from a worker. They go to the next one.
    returned: VecDeque<OwnedFd>,
    /// A copy of the listener, while it is not watched.
    unwatched: Option<OwnedFd>,
    /// accept(2) failed: the listener is left alone until then.
    accept_at: Option<Instant>,
    errors: LogLimit,
    /// Asked for by SIGHUP; begins when no reload is under way.
    reload_later: bool,
    phase: Phase,
    exit_code: Option<ExitCode>,
}

/// What the server is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    /// It stops. What waits in the backlog is accepted first.
    Closing(Closing),
    /// The workers drain.
    Stopping,
}
// ANCHOR_END: fields

impl Running {
    // ANCHOR: new
    fn new(primary: Primary) -> anyhow::Result<Running> {
        let Primary { listener, sharing, arguments, workers } = primary;
        let descriptors =
            raise_descriptor_limit().context("cannot raise a limit")?;
        accept_hangup().context("cannot handle SIGHUP")?;
        let children = Children::new(&SIGNALS).context("cannot handle signals")?;
        let mut listeners = vec![listener];
        if sharing == Sharing::Reuseport {
            for _ in 1..workers {
                let another = another_listener(&listeners[0])
                    .context("cannot listen on the same port again")?;
                listeners.push(another);
            }
        }
        let copy = listeners[0].try_clone().context("cannot copy the listener")?;
        let mut unwatched = None;
        if sharing == Sharing::RoundRobin {
            copy.set_nonblocking(true).context("cannot use the listener")?;
            unwatched =
                Some(copy.try_clone().context("cannot copy the listener")?.into());
        }
        let worker = move || {
            // The program that runs, even if its file was replaced meanwhile.
            let mut command = Command::new("/proc/self/exe");
            command.args(&arguments);
            Ok(command)
        };
        let config = Config::default();
        let most = FDS_BESIDES + FDS_EACH * (2 * workers + 8);
        let most =
            usize::try_from(descriptors).unwrap_or(usize::MAX).saturating_sub(most);
        Ok(Running {
            master: Master::new(children, Supervisor::new(workers), copy, worker),
            rollout: Rollout::new(workers, config.start_limit),
            crash_limit: CrashLimit::new(config.crashes, config.crash_time),
            sharing,
            slots: Slots::new(listeners.len()),
            next_slot: 0,
            listeners,
            assignment: Assignment::new(most),
            introductions: Introductions::default(),
            returned: VecDeque::new(),
            unwatched,
            accept_at: None,
            errors: LogLimit::new(),
            reload_later: false,
            phase: Phase::Serving,
            exit_code: None,
        })
    }
    // ANCHOR_END: new

    // ANCHOR: run
    fn run(mut self) -> anyhow::Result<ExitCode> {
        loop {
            let now = Instant::now();
            self.decide(now)?;
            let until = self.deadline(now);
            match self.master.turn(until)? {
                ControlFlow::Break(exit_code) => {
                    return Ok(self.exit_code.unwrap_or(exit_code));
                }
                ControlFlow::Continue(events) => {
                    for event in events {
                        self.on_event(event);
                    }
                }
            }
        }
    }
    // ANCHOR_END: run

    // ANCHOR: decide
    fn decide(&mut self, now: Instant) -> anyhow::Result<()> {
        match self.phase {
            Phase::Stopping => return Ok(()),
            Phase::Closing(closing) => {
                if closing.is_over(now, self.is_quiet()) {
                    self.stop("the backlog is empty");
                    return Ok(());
                }
            }
            Phase::Serving => {
                if self.reload_later && !self.rollout.is_busy() {
                    self.reload();
                }
            }
        }
        for order in self.rollout.decide(self.master.children.seen()) {
            self.carry_out(now, order)?;
        }
        if self.crash_limit.is_reached(now) {
            complain("too many crashes: the server gives up");
            self.exit_code = Some(ExitCode::FAILURE);
            self.stop("it gives up");
            return Ok(());
        }
        self.set_want(now);
        self.share(now);
        Ok(())
    }

    /// How many workers run. Only one starts in a turn, so that each gets the listener
    /// of its slot.
    fn set_want(&mut self, now: Instant) {
        let active = self.rollout.active_count();
        let mut want = self.rollout.want();
        if self.crash_limit.is_paused(now) {
            want = want.min(active);
        }
        if active < want {
            let slot = self.slots.for_new_worker();
            match self.listeners[slot].try_clone() {
                Ok(copy) => self.master.set_listener(copy),
                Err(_) => want = active,
            }
            self.next_slot = slot;
            self.master.message = self.listen_message(slot);
        }
        self.master.supervisor.set_want(want.min(active + 1));
    }

    fn deadline(&self, now: Instant) -> Option<Instant> {
        let closing = match self.phase {
            Phase::Closing(closing) => Some(closing.deadline(now)),
            _ => None,
        };
        let times = [
            self.rollout.deadline(),
            self.crash_limit.deadline(now),
            self.accept_at,
            self.assignment.deadline(now),
            closing,
        ];
        times.into_iter().flatten().min().filter(|_| self.phase != Phase::Stopping)
    }
    // ANCHOR_END: decide

    // ANCHOR: carry_out
    fn carry_out(&mut self, now: Instant, order: Order) -> anyhow::Result<()> {
        let action = match order {
            Order::Use(_) => None,
            Order::Drain(id) => self.master.supervisor.drain(now, id),
            Order::Kill(id) => {
                log(format_args!("{} is not ready in time", self.master.name(id)));
                self.master.supervisor.kill(id)
            }
            Order::Done(generation) => {
                log(format_args!("reload: done, generation {generation}"));
                None
            }
            Order::Undone(id) => {
                let name = self.master.name(id);
                complain(format_args!("reload: undone, because {name} failed"));
                None
            }
        };
        action.map_or(Ok(()), |action| self.master.carry_out(action))
    }
    // ANCHOR_END: carry_out

    // ANCHOR: on_event
    fn on_event(&mut self, event: Event) {
        let now = Instant::now();
        match event {
            Event::Signal(signal) => self.on_signal(now, signal),
            Event::Readable => self.accept(now),
            Event::Spawn(id) => {
                self.record(now, Input::Started(id));
                self.slots.start(id, self.next_slot);
                self.introductions.sent(id, Sent::Listener);
                self.master.children.set_window(id, WINDOW);
            }
            Event::Acked(id) => self.on_acked(now, id),
            Event::Returned(id, message, fd) => {
                if self.introductions.landed(id) == Some(Sent::Connection) {
                    self.assignment.landed(id);
                }
                if message["act"] == "connection" {
                    self.returned.push_back(fd);
                }
            }
            Event::Message(id, message, _) if message["act"] == "suicide" => {
                self.on_drain(now, id);
            }
            Event::Message(id, message, _) => self.master.log_message(id, &message),
            Event::Exit(id, status) => {
                self.note_crash(now, id, Some(status));
                self.record(now, Input::Exited(id));
            }
            // The worker could not be started.
            Event::Close(id, Err(_)) => {
                self.record(now, Input::Started(id));
                self.note_crash(now, id, None);
                self.record(now, Input::Exited(id));
            }
            _ => {}
        }
    }

    fn record(&mut self, now: Instant, input: Input) {
        if let Input::Draining(id) | Input::Exited(id) = input {
            self.assignment.remove(id);
            self.slots.remove(id);
        }
        if let Input::Exited(id) = input {
            self.introductions.remove(id);
        }
        self.rollout.record(now, input);
    }

    fn is_starting(&self, id: Id) -> bool {
        let member = self.rollout.members().get(&id);
        member.is_some_and(|member| member.stage == Stage::Starting)
    }
    // ANCHOR_END: on_event

    // ANCHOR: on_ready
    /// A worker has acknowledged the oldest handle that it was sent.
    fn on_acked(&mut self, now: Instant, id: Id) {
        match self.introductions.landed(id) {
            Some(Sent::Listener) if self.is_starting(id) => self.on_ready(now, id),
            Some(Sent::Connection) => self.assignment.landed(id),
            Some(Sent::Introduction(number)) => {
                let children = &mut self.master.children;
                self.introductions.acknowledged(children, number);
            }
            _ => {}
        }
    }

    /// A worker has its listener.
    fn on_ready(&mut self, now: Instant, id: Id) {
        self.record(now, Input::Ready(id));
        self.slots.ready(id);
        self.assignment.add(id);
        for giver in self.draining() {
            self.introduce(giver, id);
        }
    }

    /// A worker drains. It gets no more connections, and gives its own to others.
    fn on_drain(&mut self, now: Instant, id: Id) {
        self.record(now, Input::Draining(id));
        let takers: Vec<Id> = self.assignment.workers().collect();
        for taker in takers.into_iter().rev().take(MOST_TAKERS) {
            self.introduce(id, taker);
        }
        self.send_last(id);
    }

    fn introduce(&mut self, giver: Id, taker: Id) {
        let children = &mut self.master.children;
        let are_connected = children.connected(giver) && children.connected(taker);
        if self.phase == Phase::Serving && are_connected {
            if let Err(error) = self.introductions.introduce(children, giver, taker)
            {
                let why = format!("cannot introduce a worker: {}", reason(&error));
                self.errors.complain(Instant::now(), why);
            }
        }
    }

    /// Tells a worker that drains that no further connection comes from here.
    fn send_last(&mut self, id: Id) {
        if self.master.children.connected(id) {
            let message =
                json!({"act": "last", "stop": self.phase != Phase::Serving});
            self.master.children.send(id, &message);
        }
    }

    fn draining(&self) -> Vec<Id> {
        let members = self.rollout.members().iter();
        let draining = members.filter(|(_, it)| it.stage == Stage::Draining);
        draining.map(|(&id, _)| id).collect()
    }
    // ANCHOR_END: on_ready

    // ANCHOR: note_crash
    /// Counts a worker that exits, if that is a crash: it was not ready, or not for
    /// long. A worker that was killed has not crashed.
    fn note_crash(&mut self, now: Instant, id: Id, status: Option<ExitStatus>) {
        let Some(member) = self.rollout.members().get(&id) else { return };
        let is_killed = status == Some(ExitStatus::Signaled(Signal::SIGKILL));
        let has_crashed = match member.stage {
            Stage::Starting => true,
            Stage::Ready(since) => !is_killed && now < since + SHORT_LIFE,
            Stage::Draining => false,
        };
        if !has_crashed || self.rollout.is_reloading() {
            return;
        }
        if let Some(pause) = self.crash_limit.crashed(now) {
            let (name, ms) = (self.master.name(id), pause.as_millis());
            log(format_args!("{name} has crashed early: pause, {ms} ms"));
        }
    }
    // ANCHOR_END: note_crash

    // ANCHOR: accept
    /// Accepts what waits, as long as a worker has room. No byte of it is read here.
    fn accept(&mut self, now: Instant) {
        for _ in 0..ACCEPTS_IN_A_ROW {
            if !self.returned.is_empty() || !self.assignment.has_room(now) {
                return;
            }
            match self.listeners[0].accept() {
                Ok((stream, _)) => self.pass(stream.into(), now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                // The client is gone (accept(2)).
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    let why =
                        format!("cannot accept a connection: {}", reason(&error));
                    self.errors.complain(now, why);
                    self.accept_at = Some(now + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    /// Passes a connection to the worker whose turn it is.
    fn pass(&mut self, connection: OwnedFd, now: Instant) {
        match self.assignment.pick(now) {
            Some(id) => {
                let handle = Handle::Tcp(connection.into());
                let message = json!({"act": "connection"});
                self.master.children.send_handle(id, message, handle);
                self.introductions.sent(id, Sent::Connection);
            }
            None => self.returned.push_back(connection),
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: share
    /// Passes on what came back, watches the listener while a worker has room, and
    /// gives each listener a worker.
    fn share(&mut self, now: Instant) {
        while self.assignment.has_room(now) {
            let Some(connection) = self.returned.pop_front() else { break };
            self.pass(connection, now);
        }
        if self.sharing == Sharing::RoundRobin {
            self.accept_at.take_if(|at| *at <= now);
            let watch = self.assignment.has_room(now)
                && self.returned.is_empty()
                && self.accept_at.is_none();
            if watch == self.unwatched.is_some() {
                let fd = self.unwatched.take();
                self.unwatched = self.master.children.watch(fd);
            }
        }
        while let Some(change) = self.slots.change() {
            match change {
                Change::Listen(id, slot) => {
                    let Ok(copy) = self.listeners[slot].try_clone() else {
                        return self.slots.undo(id, slot);
                    };
                    let handle = Handle::TcpListener(copy);
                    let message = self.listen_message(slot);
                    self.master.children.send_handle(id, message, handle);
                    self.introductions.sent(id, Sent::Listener);
                }
                Change::Release(id, slot) => {
                    let message = json!({"act": "release", "slot": slot});
                    self.master.children.send(id, &message);
                }
            }
        }
    }

    /// What a worker is told with a listener.
    fn listen_message(&self, slot: usize) -> Value {
        let accept = self.sharing != Sharing::RoundRobin;
        json!({"act": "listen", "slot": slot, "accept": accept})
    }
    // ANCHOR_END: share

    // ANCHOR: on_signal
    fn on_signal(&mut self, now: Instant, signal: Signal) {
        match (signal, self.phase) {
            (Signal::SIGUSR1, _) => {
                let pid = |id| self.master.children.pid(id);
                let none = Default::default();
                say_if_room(state_json(now, &self.rollout, &none, pid));
            }
            (Signal::SIGINT | Signal::SIGTERM, _) => self.close(now, signal),
            (_, Phase::Closing(_) | Phase::Stopping) => {}
            (Signal::SIGHUP, _) => self.reload_later = true,
            (Signal::SIGTTIN, _) => self.resize(self.rollout.wanted() + 1),
            (Signal::SIGTTOU, _) => self.resize(self.rollout.wanted() - 1),
            _ => {}
        }
    }

    /// Replaces all workers, one by one.
    fn reload(&mut self) {
        self.reload_later = false;
        let limit = Config::default().start_limit;
        let generation = self.rollout.begin(self.rollout.wanted(), limit);
        log(format_args!("reload: generation {generation} begins"));
    }

    /// A worker more, or a worker fewer.
    fn resize(&mut self, wanted: usize) {
        let wanted = wanted.clamp(1, 1024);
        log(format_args!("workers wanted: {wanted}"));
        self.rollout.set_wanted(wanted);
        if self.sharing == Sharing::Reuseport && self.listeners.len() < wanted {
            match another_listener(&self.listeners[0]) {
                Ok(listener) => {
                    self.listeners.push(listener);
                    self.slots.push();
                }
                Err(error) => {
                    let why = reason(&error);
                    complain(format_args!("cannot open another listener: {why}"));
                }
            }
        }
    }
    // ANCHOR_END: on_signal

    // ANCHOR: close
    /// SIGTERM or SIGINT. The second time: at once.
    fn close(&mut self, now: Instant, signal: Signal) {
        match self.phase {
            Phase::Serving => {
                for listener in &self.listeners {
                    // Without it, there may always be one more.
                    let _ = backlog::drop_new_connections(listener);
                }
                log(format_args!(
                    "got {signal}: what waits in the backlog is accepted first \
                     (once more: end at once)"
                ));
                self.phase = Phase::Closing(Closing(now));
            }
            Phase::Closing(closing) if !closing.is_repeated(now) => {}
            Phase::Closing(Closing(since)) => {
                self.master.supervisor.record(since, Input::Stop);
                self.stop(&format!("got {signal}"));
            }
            Phase::Stopping => self.master.stop(format_args!("got {signal}")),
        }
    }

    /// Whether nothing waits in a backlog or is on its way to a worker.
    fn is_quiet(&self) -> bool {
        self.listeners.iter().all(backlog::is_empty)
            && self.returned.is_empty()
            && self.assignment.in_flight() == 0
    }

    /// The workers drain, and this process exits.
    fn stop(&mut self, why: &str) {
        self.phase = Phase::Stopping;
        self.master.children.watch(None);
        self.listeners.clear();
        self.master.stop(why);
        for id in self.draining() {
            self.send_last(id);
        }
    }
    // ANCHOR_END: close
}
