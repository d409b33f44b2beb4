//! All children, and one place to wait for them.

use std::{
    collections::BTreeMap, io, os::fd::AsFd, process::Command, time::Instant,
};

use ch02_balance::poll_until;
use ch03_handles::Handle;
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    sys::signal::Signal,
    unistd::Pid,
};
use serde_json::Value;

use crate::{ChildError, Event, Id, SignalPipe, kid::Kid};

// ANCHOR: children
/// The children of this process, heard through one poll(2), and the signals to this process too.
#[derive(Debug)]
pub struct Children {
    kids: BTreeMap<Id, Kid>,
    next: u64,
    signals: SignalPipe,
    /// What has happened between two calls of `wait`.
    events: Vec<Event>,
}
// ANCHOR_END: children

/// What poll(2) was asked about.
#[derive(Clone, Copy)]
enum Source {
    Signals,
    Channel(Id),
    Output(Id),
}

impl Children {
    /// Nobody yet. `signals` come as [`Event::Signal`] from now on; SIGCHLD is needed here.
    ///
    /// # Errors
    /// As [`SignalPipe::new`]: there can be one of these in a process.
    pub fn new(signals: &[Signal]) -> io::Result<Children> {
        let signals = SignalPipe::new(&[signals, &[Signal::SIGCHLD]].concat())?;
        Ok(Children { kids: BTreeMap::new(), next: 0, signals, events: Vec::new() })
    }

    /// Starts a child, like Node's `fork()`. Whether that worked comes as an event.
    pub fn spawn(&mut self, command: Command) -> Id {
        let id = Id(self.next);
        self.next += 1;
        self.kids.insert(id, Kid::start(id, command, &mut self.events));
        id
    }

    /// The process id of a child, up to the call of [`wait`](Children::wait) after its
    /// [`Event::Close`]. `None` if it was never started.
    pub fn pid(&self, id: Id) -> Option<Pid> {
        self.kids.get(&id)?.child.as_ref().map(|child| child.pid())
    }

    /// Whether the channel to a child is open, like Node's `child.connected`.
    pub fn connected(&self, id: Id) -> bool {
        self.kids.get(&id).is_some_and(|kid| kid.channel.is_some())
    }

    /// Sends a message, like Node's `child.send()`. What goes wrong comes as an event.
    pub fn send(&mut self, id: Id, message: &Value) {
        let Some(kid) = self.kids.get_mut(&id) else { return };
        let sent = match &mut kid.channel {
            Some(channel) => channel.send(message).map_err(ChildError::Send),
            None => Err(ChildError::ChannelClosed),
        };
        self.events.extend(sent.err().map(|error| Event::Error(id, error)));
    }

    /// Sends a message with a handle. [`Event::Acked`] says when the child has it.
    pub fn send_handle(&mut self, id: Id, message: Value, handle: Handle) {
        let Some(kid) = self.kids.get_mut(&id) else { return };
        let sent = match &mut kid.channel {
            Some(channel) => channel
                .send_handle(message, handle)
                .map_err(|it| ChildError::Send(it.why)),
            None => Err(ChildError::ChannelClosed),
        };
        self.events.extend(sent.err().map(|error| Event::Error(id, error)));
    }

    /// Closes the channel to a child, like Node's `child.disconnect()`. What it has sent and nobody
    /// has heard is lost.
    pub fn disconnect(&mut self, id: Id) {
        if let Some(kid) = self.kids.get_mut(&id) {
            match kid.channel {
                Some(_) => kid.disconnect(&mut self.events),
                None => {
                    self.events.push(Event::Error(id, ChildError::ChannelClosed))
                }
            }
        }
    }

    /// Sends a child a signal, like Node's `child.kill()`. One that has ended gets none, and that is
    /// no error.
    pub fn kill(&mut self, id: Id, signal: Signal) {
        let child = self.kids.get(&id).and_then(|kid| kid.child.as_ref());
        if let Some(Err(error)) = child.map(|child| child.kill(signal)) {
            if error.raw_os_error() != Some(Errno::ESRCH as i32) {
                self.events.push(Event::Error(id, ChildError::Kill(error)));
            }
        }
    }

    // ANCHOR: wait
    /// Blocks until something happens, and returns what. Returns an empty list if `until` comes first.
    ///
    /// # Errors
    /// Those of poll(2); none is expected.
    pub fn wait(&mut self, until: Option<Instant>) -> io::Result<Vec<Event>> {
        self.kids.retain(|_, kid| !kid.closed);
        // poll(2) does not see what has happened already, nor what is in a channel already.
        let at_once =
            !self.events.is_empty() || self.kids.values().any(|kid| kid.more);
        let sources =
            self.poll(if at_once { Some(Instant::now()) } else { until })?;
        for kid in self.kids.values_mut().filter(|kid| kid.more) {
            kid.hear(&mut self.events);
        }
        for source in sources {
            self.dispatch(source);
        }
        for kid in self.kids.values_mut() {
            kid.close(&mut self.events);
        }
        Ok(std::mem::take(&mut self.events))
    }
    // ANCHOR_END: wait

    // ANCHOR: poll
    /// What there is to read. The signals come last: what a child has sent before it ended is received
    /// before its end.
    fn poll(&self, until: Option<Instant>) -> io::Result<Vec<Source>> {
        let mut sources = Vec::new();
        let mut polled = Vec::new();
        for (&id, kid) in &self.kids {
            if let Some(channel) = &kid.channel {
                sources.push(Source::Channel(id));
                polled.push(PollFd::new(channel.as_fd(), channel.interest()));
            }
            for end in &kid.output {
                sources.push(Source::Output(id));
                polled.push(PollFd::new(end.as_fd(), PollFlags::POLLIN));
            }
        }
        sources.push(Source::Signals);
        polled.push(PollFd::new(self.signals.as_fd(), PollFlags::POLLIN));
        // EINTR is a signal. Its handler has written to the pipe: look again.
        while let Err(error) = poll(&mut polled, poll_until(until)) {
            if error != Errno::EINTR {
                return Err(error.into());
            }
        }
        let ready = sources
            .into_iter()
            .zip(polled)
            .filter(|(_, it)| it.any() == Some(true));
        Ok(ready.map(|(source, _)| source).collect())
    }
    // ANCHOR_END: poll

    // ANCHOR: dispatch
    fn dispatch(&mut self, source: Source) {
        match source {
            Source::Channel(id) => {
                if let Some(kid) = self.kids.get_mut(&id) {
                    kid.hear(&mut self.events);
                }
            }
            Source::Output(id) => {
                if let Some(kid) = self.kids.get_mut(&id) {
                    kid.read_output(&mut self.events);
                }
            }
            Source::Signals => {
                for signal in self.signals.take() {
                    match signal {
                        Signal::SIGCHLD => self.reap(),
                        signal => self.events.push(Event::Signal(signal)),
                    }
                }
            }
        }
    }
    // ANCHOR_END: dispatch

    // ANCHOR: reap
    /// One SIGCHLD may stand for many children (signal(7)): asks all of them.
    fn reap(&mut self) {
        for kid in self.kids.values_mut() {
            kid.reap(&mut self.events);
        }
    }
    // ANCHOR_END: reap
}
