// ANCHOR: top
//! The master: chapter 5's, with a control plane around it.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    ops::ControlFlow,
    process::{self, ExitCode},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ch01_fork_ipc::ExitStatus;
use ch03_handles::{Handle, HandleChannel};
use ch04_events::{Children, Event, Id, survive_parent};
use ch05_restart::{Action, Input, Master, Supervisor};
use ch06_reload::{
    Config, CrashLimit, Liveness, Order, Rollout, SHORT_LIFE, Stage,
    backlog::{self, Closing},
    state_json,
    upgrade::Inherited,
};
use cli::{complain, log, reason, say_if_room};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::{service::Service, settings::Settings};
// ANCHOR_END: top

// ANCHOR: limits
/// The least time between two messages with the state of all workers.
const STATE_PAUSE: Duration = Duration::from_millis(50);

/// …and so much more for each worker: every message has an entry for each of them.
const STATE_PAUSE_EACH: Duration = Duration::from_millis(10);

/// The signals to this process that it handles.
pub const SIGNALS: [Signal; 7] = [
    Signal::SIGINT,
    Signal::SIGTERM,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGTTIN,
    Signal::SIGTTOU,
];
// ANCHOR_END: limits

// ANCHOR: fields
/// Everything that can change while the server runs.
pub struct Control {
    settings: Settings,
    master: Master,
    rollout: Rollout,
    liveness: Liveness,
    crash_limit: CrashLimit,
    /// The configuration of the present generation, and of the one before, to which a
    /// reload may have to go back.
    configs: BTreeMap<u32, Config>,
    /// Asked for by a signal; begins when no reload and no upgrade is under way.
    reload_later: bool,
    upgrade_later: bool,
    /// What each worker has answered.
    requests: BTreeMap<Id, u64>,
    /// The state has changed since the workers were sent it, which was `told_at`.
    changed: bool,
    told_at: Instant,
    phase: Phase,
    /// The new program that takes over, and when it must be ready.
    upgrade: Option<(Id, Instant)>,
    /// The new program, once it has taken over.
    successor: Option<Id>,
    /// The master that this one takes over from. `None`: there is none, or it
    /// was told that this one is ready.
    old_master: Option<HandleChannel>,
    /// A new program is sent a copy of it. `None`: the server stops.
    listener: Option<TcpListener>,
    /// The service manager has the listener, too, and keeps it.
    is_shared: bool,
    service: Service,
    /// A signal has asked the server to stop.
    asked: bool,
    exit_code: Option<ExitCode>,
}

/// What the server is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// The first workers are not ready yet.
    Starting,
    Serving,
    /// It stops. What waits in the backlog is accepted first.
    Closing(Closing),
    /// The workers drain.
    Stopping,
}
// ANCHOR_END: fields

impl Control {
    // ANCHOR: new
    /// A master with this configuration and listener. Nothing is started yet.
    pub fn new(
        settings: Settings,
        config: Config,
        children: Children,
        Inherited { listener, old_master, is_shared }: Inherited,
    ) -> anyhow::Result<Control> {
        let copy = listener.try_clone().context("cannot copy the listener")?;
        let supervisor = Supervisor::new(config.workers)
            .disconnect_first(settings.exec.is_some());
        let worker = settings.worker(&config);
        let now = Instant::now();
        Ok(Control {
            master: Master::new(children, supervisor, copy, worker),
            rollout: Rollout::new(config.workers, config.start_limit),
            liveness: Liveness::new(now, config.alive_limit),
            crash_limit: CrashLimit::new(config.crashes, config.crash_time),
            configs: BTreeMap::from([(1, config)]),
            reload_later: false,
            upgrade_later: false,
            requests: BTreeMap::new(),
            changed: false,
            told_at: now,
            phase: Phase::Starting,
            upgrade: None,
            successor: None,
            old_master,
            listener: Some(listener),
            is_shared,
            service: Service::new(now),
            asked: false,
            exit_code: None,
            settings,
        })
    }
    // ANCHOR_END: new

    // ANCHOR: run
    /// Runs until the server has stopped, or a new program has taken over.
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        self.send_state(Instant::now());
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
                        self.on_event(event)?;
                    }
                }
            }
        }
    }
    // ANCHOR_END: run

    // ANCHOR: decide
    fn decide(&mut self, now: Instant) -> anyhow::Result<()> {
        self.service.watchdog(now);
        match self.phase {
            Phase::Stopping => return Ok(()),
            Phase::Closing(closing) => {
                let is_empty = self.listener.as_ref().is_none_or(backlog::is_empty);
                if closing.is_over(now, is_empty) {
                    self.stop("the backlog is empty");
                    return Ok(());
                }
            }
            Phase::Starting => self.report_ready(),
            Phase::Serving => {
                self.follow_rollout(now)?;
                if self.upgrade_later && !self.is_busy() {
                    self.start_upgrade(now);
                }
                if self.reload_later && !self.is_busy() {
                    self.reload();
                }
            }
        }
        for id in self.liveness.overdue(self.master.children.seen()) {
            let name = self.master.name(id);
            log(format_args!("{name} gives no sign of life: it is killed"));
            let action = self.master.supervisor.kill(id);
            self.carry_out_for(action)?;
        }
        self.follow_rollout(now)?;
        self.kill_if_full()?;
        self.give_up_if_hopeless(now);
        let paused = self.crash_limit.is_paused(now);
        let want =
            if paused { self.rollout.active_count() } else { self.rollout.want() };
        self.master.supervisor.set_want(want);
        self.end_late_upgrade(now);
        self.tell_state(now);
        Ok(())
    }
    // ANCHOR_END: decide

    // ANCHOR: deadline
    /// When there is something to decide even if nothing happens.
    fn deadline(&self, now: Instant) -> Option<Instant> {
        let closing = match self.phase {
            Phase::Closing(closing) => Some(closing.deadline(now)),
            _ => None,
        };
        let told = self.told_at + self.state_pause();
        let times = [
            self.service.deadline(),
            self.rollout.deadline(),
            self.liveness.deadline(),
            self.crash_limit.deadline(now),
            self.upgrade.map(|(_, until)| until),
            closing,
            self.changed.then_some(told),
        ];
        times.into_iter().flatten().min().filter(|_| self.phase != Phase::Stopping)
    }
    // ANCHOR_END: deadline

    // ANCHOR: carry_out
    fn follow_rollout(&mut self, now: Instant) -> anyhow::Result<()> {
        for order in self.rollout.decide(self.master.children.seen()) {
            self.carry_out(now, order)?;
        }
        Ok(())
    }

    fn carry_out(&mut self, now: Instant, order: Order) -> anyhow::Result<()> {
        self.changed = true;
        match order {
            Order::Use(generation) => {
                let config = &self.configs[&generation];
                self.liveness.set_limit(config.alive_limit);
                self.crash_limit.set_limit(config.crashes, config.crash_time);
                self.master.set_worker(self.settings.worker(config));
            }
            Order::Drain(id) => {
                self.liveness.forget(id);
                let action = self.master.supervisor.drain(now, id);
                self.carry_out_for(action)?;
            }
            Order::Kill(id) => {
                log(format_args!("{} is not ready in time", self.master.name(id)));
                if !self.rollout.is_outdated(id) {
                    self.count_crash(now, id);
                }
                let action = self.master.supervisor.kill(id);
                self.carry_out_for(action)?;
            }
            Order::Done(generation) => {
                let done = format!("reload: done, generation {generation}");
                log(&done);
                self.service.ready(&done);
            }
            Order::Undone(id) => {
                let name = self.master.name(id);
                let undone = format!(
                    "reload: undone, because {name} failed; generation {} serves on",
                    self.rollout.generation()
                );
                complain(&undone);
                self.service.ready(&undone);
            }
        }
        Ok(())
    }

    fn carry_out_for(&mut self, action: Option<Action>) -> anyhow::Result<()> {
        action.map_or(Ok(()), |action| self.master.carry_out(action))
    }
    // ANCHOR_END: carry_out

    // ANCHOR: on_event
    fn on_event(&mut self, event: Event) -> anyhow::Result<()> {
        let now = Instant::now();
        match event {
            Event::Signal(signal) => self.on_signal(now, signal),
            Event::Message(id, message, _) if self.is_upgrade(id) => {
                self.on_upgrade_message(id, &message);
            }
            Event::Exit(id, _) | Event::Close(id, Err(_))
                if self.is_upgrade(id) =>
            {
                self.upgrade = None;
                complain("upgrade: the new program failed; this one serves on");
            }
            Event::Exit(id, status)
                if self.successor == Some(id)
                    && status != ExitStatus::Exited(0) =>
            {
                complain(format_args!("upgrade: the new program {status}"));
                self.exit_code = Some(ExitCode::FAILURE);
            }
            Event::Spawn(id) if !self.is_upgrade(id) => {
                self.record(now, Input::Started(id));
            }
            Event::Acked(id) => self.record(now, Input::Ready(id)),
            Event::Message(id, message, _) => self.on_message(now, id, &message),
            Event::Exit(id, _) => {
                self.note_crash(now, id);
                self.record(now, Input::Exited(id));
                self.requests.remove(&id);
            }
            // No sign of life can arrive any more. That is no reason to kill it.
            Event::Disconnect(id) => self.liveness.forget(id),
            // The worker could not be started.
            Event::Close(id, Err(_)) => {
                self.record(now, Input::Started(id));
                self.note_crash(now, id);
                self.record(now, Input::Exited(id));
            }
            _ => {}
        }
        Ok(())
    }

    fn record(&mut self, now: Instant, input: Input) {
        if let Input::Draining(id) | Input::Exited(id) = input {
            self.liveness.forget(id);
        }
        self.rollout.record(now, input);
        self.changed = true;
    }
    // ANCHOR_END: on_event

    // ANCHOR: on_message
    fn on_message(&mut self, now: Instant, id: Id, message: &Value) {
        if message["act"] == "suicide" {
            self.note_drain(now, id);
            self.record(now, Input::Draining(id));
        } else if message["act"] == "alive" {
            let Some(member) = self.rollout.members().get(&id) else { return };
            if member.stage != Stage::Draining {
                self.liveness.alive(now, id);
            }
            let requests = message["requests"].as_u64().unwrap_or(0);
            self.changed |= self.requests.insert(id, requests) != Some(requests);
        } else {
            self.master.log_message(id, message);
        }
    }
    // ANCHOR_END: on_message

    // ANCHOR: on_signal
    fn on_signal(&mut self, now: Instant, signal: Signal) {
        match (signal, self.phase) {
            (Signal::SIGUSR1, _) => say_if_room(self.state(now)),
            (Signal::SIGINT | Signal::SIGTERM, _) => self.close(now, signal),
            (Signal::SIGHUP | Signal::SIGUSR2, Phase::Stopping) => {
                self.tell_successor(signal);
            }
            (_, Phase::Closing(_) | Phase::Stopping) => {}
            // If a reload or an upgrade is under way, it comes first.
            (Signal::SIGHUP, _) => self.reload_later = true,
            (Signal::SIGUSR2, _) => self.upgrade_later = true,
            (Signal::SIGTTIN, _) => self.resize(self.rollout.wanted() + 1),
            (Signal::SIGTTOU, _) => self.resize(self.rollout.wanted() - 1),
            _ => {}
        }
    }
    // ANCHOR_END: on_signal

    // ANCHOR: reload
    /// Reads the configuration, and begins to replace the workers one by one.
    fn reload(&mut self) {
        self.reload_later = false;
        self.service.reloading();
        let config = match self.settings.read() {
            Ok(config) => config,
            Err(error) => {
                let unchanged = format!("reload: nothing is changed: {error}");
                complain(&unchanged);
                // The service manager waits for the end of the reload, good or bad.
                self.service.ready(&unchanged);
                return;
            }
        };
        let present = self.rollout.generation();
        self.configs.retain(|&generation, _| generation == present);
        let generation = self.rollout.begin(config.workers, config.start_limit);
        log(format_args!("reload: generation {generation} begins"));
        self.configs.insert(generation, config);
    }

    /// Whether a reload must wait.
    fn is_busy(&self) -> bool {
        self.rollout.is_busy()
            || self.upgrade.is_some()
            || self.phase == Phase::Starting
    }

    /// A worker more, or a worker fewer.
    fn resize(&mut self, wanted: usize) {
        let wanted = wanted.clamp(1, 1024);
        log(format_args!("workers wanted: {wanted}"));
        self.rollout.set_wanted(wanted);
        self.changed = true;
    }
    // ANCHOR_END: reload

    // ANCHOR: crashes
    /// Counts a worker that exits or drains, if that is a crash. The failure of a
    /// reload is undone, and is no crash of the server.
    fn note_crash(&mut self, now: Instant, id: Id) {
        let Some(member) = self.rollout.members().get(&id) else { return };
        let served = self.requests.get(&id).is_some_and(|&requests| requests > 0);
        let crashed = match member.stage {
            Stage::Starting => true,
            Stage::Ready(since) => !served && now < since + SHORT_LIFE,
            Stage::Draining => false,
        };
        if !crashed || self.rollout.is_reloading() || self.phase == Phase::Stopping
        {
            return;
        }
        self.count_crash(now, id);
    }

    /// A worker drains without an order. A ready worker does that when its program has
    /// failed on a request, so it has served, and this is no crash. If it gives no
    /// signs of life, it may have served nothing: then a short pause follows.
    fn note_drain(&mut self, now: Instant, id: Id) {
        let Some(member) = self.rollout.members().get(&id) else { return };
        let signs = self.requests.contains_key(&id);
        match member.stage {
            Stage::Starting => self.note_crash(now, id),
            Stage::Ready(since) if !signs && now < since + SHORT_LIFE => {
                self.crash_limit.pause(now);
            }
            _ => {}
        }
    }

    fn count_crash(&mut self, now: Instant, id: Id) {
        if let Some(pause) = self.crash_limit.crashed(now) {
            let ms = pause.as_millis();
            log(format_args!(
                "{} has served nothing: pause, {ms} ms",
                self.master.name(id)
            ));
        }
    }

    fn give_up_if_hopeless(&mut self, now: Instant) {
        if self.crash_limit.is_reached(now) {
            complain("too many crashes (limits.crashes): the server gives up");
            self.exit_code = Some(ExitCode::FAILURE);
            self.stop("it gives up");
        }
    }

    /// If draining workers take all places, no worker can start. Then the worker that
    /// has drained longest is killed.
    fn kill_if_full(&mut self) -> anyhow::Result<()> {
        let members = self.rollout.members();
        let want = self.rollout.want();
        let draining = members.iter().filter(|(_, it)| it.stage == Stage::Draining);
        let oldest = draining.map(|(&id, _)| id).next();
        if self.rollout.active_count() >= want || members.len() < 2 * want + 8 {
            return Ok(());
        }
        let Some(id) = oldest else { return Ok(()) };
        let action = self.master.supervisor.kill(id);
        if action.is_some() {
            let name = self.master.name(id);
            log(format_args!(
                "{name} has drained longest: it is killed to make room"
            ));
        }
        self.carry_out_for(action)
    }
    // ANCHOR_END: crashes

    // ANCHOR: upgrade
    /// Starts the program file as it is now. It takes over when it is ready.
    fn start_upgrade(&mut self, now: Instant) {
        self.upgrade_later = false;
        if process::id() == 1 {
            complain(
                "upgrade: process 1 cannot be replaced: all others end with it",
            );
            return;
        }
        let Some(listener) = &self.listener else { return };
        let copy = match listener.try_clone() {
            Ok(copy) => copy,
            Err(error) => {
                let why = reason(&error);
                complain(format_args!("upgrade: cannot copy the listener: {why}"));
                return;
            }
        };
        let id = self.master.children.spawn(self.settings.next_program());
        let file = self.settings.program.display();
        log(format_args!("upgrade: starts {file}"));
        // If it could not be started, that is an event.
        if self.master.children.pid(id).is_some() {
            let handle = Handle::TcpListener(copy);
            let message = json!({"shared": self.is_shared});
            self.master.children.send_handle(id, message, handle);
        }
        // The new program waits for its workers, and may try again.
        let limit = self.configs[&self.rollout.generation()].start_limit * 2;
        self.upgrade = Some((id, now + limit));
    }

    fn end_late_upgrade(&mut self, now: Instant) {
        if let Some((id, _)) = self.upgrade.filter(|(_, until)| *until <= now) {
            complain(
                "upgrade: the new program is not ready in time; this one serves on",
            );
            self.upgrade = None;
            self.master.children.kill(id, Signal::SIGKILL);
        }
    }

    /// The new program is ready: this one drains.
    fn on_upgrade_message(&mut self, id: Id, message: &Value) {
        let Some(pid) = self.master.children.pid(id) else { return };
        if message["act"] != "ready" {
            return;
        }
        (self.upgrade, self.successor) = (None, Some(id));
        self.service.new_master(pid);
        // The new master may have read the files before they were changed.
        if self.reload_later {
            self.tell_successor(Signal::SIGHUP);
        }
        if self.upgrade_later {
            self.tell_successor(Signal::SIGUSR2);
        }
        self.stop(&format!("upgrade: process {pid} has taken over"));
    }

    /// Passes on what this master was asked for.
    fn tell_successor(&mut self, signal: Signal) {
        if let Some(id) = self.successor {
            self.master.children.kill(id, signal);
        }
    }

    fn is_upgrade(&self, id: Id) -> bool {
        self.upgrade.is_some_and(|(upgrade, _)| upgrade == id)
    }
    // ANCHOR_END: upgrade

    // ANCHOR: close
    /// SIGTERM or SIGINT. The second time: at once.
    fn close(&mut self, now: Instant, signal: Signal) {
        match self.phase {
            Phase::Starting | Phase::Serving => {
                // A service manager, or the old master, goes on with the listener.
                let is_ours = !self.is_shared && self.old_master.is_none();
                if let Some(listener) = self.listener.as_ref().filter(|_| is_ours) {
                    // Without it, there may always be one more.
                    let _ = backlog::drop_new_connections(listener);
                }
                log(format_args!(
                    "got {signal}: what waits in the backlog is accepted first \
                     (once more: end at once)"
                ));
                self.service.stopping();
                if let Some((id, _)) = self.upgrade.take() {
                    self.master.children.kill(id, Signal::SIGTERM);
                }
                self.phase = Phase::Closing(Closing(now));
            }
            Phase::Closing(closing) if !closing.is_repeated(now) => {}
            Phase::Closing(Closing(since)) => {
                self.master.supervisor.record(since, Input::Stop);
                self.stop(&format!("got {signal}"));
            }
            // systemd signals all processes of a service: also a master whose
            // successor is ready.
            Phase::Stopping if !self.asked => {}
            Phase::Stopping => self.master.stop(format_args!("got {signal}")),
        }
        self.asked = true;
    }

    /// The workers drain, and this process exits.
    fn stop(&mut self, why: &str) {
        self.master.stop(why);
        self.listener = None;
        self.phase = Phase::Stopping;
    }
    // ANCHOR_END: close

    // ANCHOR: ready
    /// Once as many workers are ready as wanted, tells the service manager, and
    /// the master from which this one takes over.
    fn report_ready(&mut self) {
        let members = self.rollout.members().values();
        let ready =
            members.filter(|it| matches!(it.stage, Stage::Ready(_))).count();
        if ready < self.rollout.wanted() {
            return;
        }
        self.phase = Phase::Serving;
        if let Some(mut channel) = self.old_master.take() {
            // From now on the kernel does not kill this process with the old one.
            let survives = survive_parent().map_err(Into::into);
            let told =
                survives.and_then(|()| Ok(channel.send(&json!({"act": "ready"}))?));
            if let Err::<(), anyhow::Error>(error) = told {
                complain(format_args!("cannot tell the old master: {error}"));
            }
        }
        self.service.ready("all workers are ready");
    }
    // ANCHOR_END: ready

    // ANCHOR: state
    fn state(&self, now: Instant) -> Value {
        let pid = |id| self.master.children.pid(id);
        state_json(now, &self.rollout, &self.requests, pid)
    }

    /// Sends the state of all workers to each of them, if it has changed.
    fn tell_state(&mut self, now: Instant) {
        if self.changed && self.told_at + self.state_pause() <= now {
            self.send_state(now);
        }
    }

    fn send_state(&mut self, now: Instant) {
        let message = json!({"act": "state", "state": self.state(now)});
        let ids: Vec<Id> = self.rollout.members().keys().copied().collect();
        for id in ids {
            // A worker that gives no signs of life does not know this message.
            if self.requests.contains_key(&id) && self.master.children.connected(id)
            {
                self.master.children.send(id, &message);
            }
        }
        (self.changed, self.told_at) = (false, now);
        if self.settings.exec.is_none() {
            // A new worker may be asked as soon as it has its listener.
            self.master.message = message;
        }
    }

    fn state_pause(&self) -> Duration {
        STATE_PAUSE + STATE_PAUSE_EACH * self.rollout.members().len() as u32
    }
    // ANCHOR_END: state
}
