// ANCHOR: imports
//! All children, and one place to wait for them.

use std::{
    collections::BTreeMap,
    io, mem,
    os::fd::{AsFd, OwnedFd},
    process::Command,
    ptr,
    time::Instant,
};

use ch01_fork_ipc::SendError;
use ch02_balance::{SendHandleError, poll_tokens};
use ch03_handles::{Handle, HandleChannel};
use nix::{
    libc,
    poll::{PollFd, PollFlags},
    sys::signal::Signal,
    unistd::{Pid, getpid},
};
use serde_json::Value;

use crate::{
    ChildError, Event, Id, SignalPipe,
    child_state::{ChildState, LAST_RECEIVES},
};
// ANCHOR_END: imports

// ANCHOR: children
/// The children of this process, and the signals to it: all in one poll(2).
///
/// It reports everything that happens as an [`Event`], errors included.
#[derive(Debug)]
pub struct Children {
    children: BTreeMap<Id, ChildState>,
    next_id: u64,
    signals: SignalPipe,
    /// See [`watch`](Children::watch).
    watched: Option<OwnedFd>,
    /// What was not reported yet.
    events: Vec<Event>,
    /// See [`seen`](Children::seen).
    seen: Instant,
    /// Turns in a row that found something, and when the first one began.
    busy: Option<(Instant, u32)>,
}
// ANCHOR_END: children

// ANCHOR: most_turns
/// After so many turns, everything has been read that was there before them. The
/// kernel holds less for a child than a turn reads in a few calls; but a child that
/// writes without a pause has something to read in every turn.
const MOST_TURNS: u32 = 2 * LAST_RECEIVES;
// ANCHOR_END: most_turns

// ANCHOR: token
/// What poll(2) found ready.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Token {
    Channel(Id),
    Output(Id),
    Signals,
    Watched,
}
// ANCHOR_END: token

impl Children {
    // ANCHOR: new
    /// No children yet. From now on, `signals` to this process are
    /// [`Event::Signal`]s. SIGCHLD is handled here.
    ///
    /// # Errors
    /// Those of [`SignalPipe::new`]. A process can have one `Children` at a time.
    pub fn new(signals: &[Signal]) -> io::Result<Children> {
        let signals = SignalPipe::new(&[signals, &[Signal::SIGCHLD]].concat())?;
        Ok(Children {
            children: BTreeMap::new(),
            next_id: 0,
            signals,
            watched: None,
            events: Vec::new(),
            seen: Instant::now(),
            busy: None,
        })
    }

    /// Starts a child, like Node's `fork()`. Whether that works is an event.
    ///
    /// The kernel kills the child when this *thread* exits (prctl(2)).
    pub fn spawn(&mut self, command: Command) -> Id {
        let id = Id(self.next_id);
        self.next_id += 1;
        let child = ChildState::start(id, command, &mut self.events);
        self.children.insert(id, child);
        id
    }
    // ANCHOR_END: new

    // ANCHOR: wait
    /// Blocks until something happens, and returns it: a part, if there is a
    /// lot. Returns an empty list if `until` comes first.
    ///
    /// # Errors
    /// Those of poll(2); none is expected.
    pub fn wait(&mut self, until: Option<Instant>) -> io::Result<Vec<Event>> {
        // A child is forgotten one call after its `Close`: `pid` knows it until then.
        self.children.retain(|_, child| !child.is_closed());
        loop {
            self.step(until)?;
            let time_is_up = until.is_some_and(|until| until <= self.seen);
            if !self.events.is_empty() || time_is_up {
                return Ok(mem::take(&mut self.events));
            }
        }
    }

    /// Everything that happened before this time was reported. Compare a deadline
    /// with it, and not with the clock: if this process was stopped (SIGSTOP), what
    /// happened in the meantime is handled before a deadline that has passed.
    pub fn seen(&self) -> Instant {
        self.seen
    }
    // ANCHOR_END: wait

    // ANCHOR: watch
    /// From now on [`wait`](Children::wait) waits for this descriptor, too:
    /// [`Event::Readable`] says that it can be read. That is said again and again
    /// until it was read. `None`: no longer.
    pub fn watch(&mut self, fd: Option<OwnedFd>) -> Option<OwnedFd> {
        mem::replace(&mut self.watched, fd)
    }
    // ANCHOR_END: watch

    // ANCHOR: step
    /// One turn: waits, reads what has arrived, reports exits, looks for new exits.
    fn step(&mut self, until: Option<Instant>) -> io::Result<()> {
        let began = Instant::now();
        // Do not block if there is something to report already.
        let reaped = self.children.values().any(ChildState::is_reaped);
        let at_once = reaped || !self.events.is_empty();
        let ready =
            self.poll(if at_once { Some(Instant::now()) } else { until })?;
        for token in &ready {
            match token {
                Token::Channel(id) => {
                    let child = self.children.get_mut(id).expect("it was polled");
                    child.receive(&mut self.events);
                }
                Token::Output(id) => {
                    let child = self.children.get_mut(id).expect("it was polled");
                    child.read_output(&mut self.events);
                }
                Token::Watched => self.events.push(Event::Readable),
                Token::Signals => {}
            }
        }
        for (id, child) in &mut self.children {
            let unread = child.is_reaped() && ready.contains(&Token::Channel(*id));
            child.finish(unread, &mut self.events);
        }
        // Last: a child that is reaped here finishes after the next poll(2),
        // which sees everything that the child sent.
        if ready.contains(&Token::Signals) {
            self.take_signals();
        }
        self.note_seen(began, ready.is_empty() && !reaped);
        Ok(())
    }
    // ANCHOR_END: step

    // ANCHOR: note_seen
    /// A turn that began at `began` found nothing, or something: then there may be
    /// more.
    fn note_seen(&mut self, began: Instant, found_nothing: bool) {
        let (since, turns) = self.busy.take().unwrap_or((began, 0));
        if found_nothing {
            self.seen = began;
        } else if turns == MOST_TURNS {
            self.seen = since;
        } else {
            self.busy = Some((since, turns + 1));
        }
    }
    // ANCHOR_END: note_seen

    // ANCHOR: poll
    fn poll(&self, until: Option<Instant>) -> io::Result<Vec<Token>> {
        let signals = PollFd::new(self.signals.as_fd(), PollFlags::POLLIN);
        let mut polled = vec![(Token::Signals, signals)];
        for (&id, child) in &self.children {
            if let Some(channel) = &child.channel {
                let fd = PollFd::new(channel.as_fd(), channel.interest());
                polled.push((Token::Channel(id), fd));
            }
            for end in &child.output {
                let fd = PollFd::new(end.as_fd(), PollFlags::POLLIN);
                polled.push((Token::Output(id), fd));
            }
        }
        if let Some(fd) = &self.watched {
            let fd = PollFd::new(fd.as_fd(), PollFlags::POLLIN);
            polled.push((Token::Watched, fd));
        }
        poll_tokens(polled, until)
    }
    // ANCHOR_END: poll

    // ANCHOR: take_signals
    fn take_signals(&mut self) {
        for signal in self.signals.take() {
            match signal {
                // It may stand for several children (signal(7)): ask for each.
                Signal::SIGCHLD => {
                    for child in self.children.values_mut() {
                        child.reap();
                    }
                    if getpid().as_raw() == 1 {
                        self.reap_orphans();
                    }
                }
                signal => self.events.push(Event::Signal(signal)),
            }
        }
    }
    // ANCHOR_END: take_signals

    // ANCHOR: reap_orphans
    /// Waits for children that are not ours. Process 1, in a container for
    /// example, becomes the parent of every process whose parent exits.
    fn reap_orphans(&self) {
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        loop {
            // SAFETY: zeros are a valid siginfo_t, and waitid(2) writes only to
            // that.
            let pid = unsafe {
                let mut info: libc::siginfo_t = mem::zeroed();
                libc::waitid(libc::P_ALL, 0, &raw mut info, flags);
                info.si_pid()
            };
            // WNOWAIT only looked. A child of ours that is found here has exited
            // since it was asked, so there is another SIGCHLD. Stop until then.
            let mut children = self.children.values();
            if pid == 0 || children.any(|child| child.is_running_as(pid)) {
                return;
            }
            // SAFETY: without a place for the status it writes nothing.
            unsafe { libc::waitpid(pid, ptr::null_mut(), libc::WNOHANG) };
        }
    }
    // ANCHOR_END: reap_orphans

    // ANCHOR: send
    /// Sends a message, like Node's `child.send()`. An error is an event.
    pub fn send(&mut self, id: Id, message: &Value) {
        let sent = match self.channel(id) {
            Some(channel) => channel.send(message),
            None => Err(SendError::Closed),
        };
        if let Err(error) = sent {
            self.events.push(Event::Error(id, ChildError::Send(error)));
        }
    }

    /// Sends a message with a handle. [`Event::Acked`] says that the child has
    /// it. If the child does not get it, [`Event::Returned`] gives it back.
    pub fn send_handle(&mut self, id: Id, message: Value, handle: Handle) {
        let sent = match self.channel(id) {
            Some(channel) => channel.send_handle(message.clone(), handle),
            None => {
                Err(SendHandleError { error: SendError::Closed, fd: handle.into() })
            }
        };
        if let Err(SendHandleError { error, fd }) = sent {
            self.events.push(Event::Error(id, ChildError::Send(error)));
            self.events.push(Event::Returned(id, message, fd));
        }
    }

    /// Up to `window` handles to this child may be in flight, and not only one: see
    /// [`FdChannel::new`](ch02_balance::FdChannel::new).
    pub fn set_window(&mut self, id: Id, window: usize) {
        if let Some(channel) = self.channel(id) {
            channel.set_window(window);
        }
    }

    fn channel(&mut self, id: Id) -> Option<&mut HandleChannel> {
        self.children.get_mut(&id)?.channel.as_mut()
    }
    // ANCHOR_END: send

    // ANCHOR: disconnect
    /// Closes the channel to a child, like Node's `child.disconnect()`: once
    /// everything that was sent has left and every handle is acknowledged.
    /// Until then, the child's messages arrive; later ones are lost.
    ///
    /// If the child exits first, and a descendant holds the channel, it is
    /// closed at once. A handle that was written but not acknowledged is not
    /// given back then: the descendant may have it.
    pub fn disconnect(&mut self, id: Id) {
        let child = self.children.get_mut(&id);
        if !child.is_some_and(|child| child.disconnect(&mut self.events)) {
            self.events.push(Event::Error(id, ChildError::Disconnected));
        }
    }
    // ANCHOR_END: disconnect

    // ANCHOR: kill
    /// Sends a child a signal, like Node's `child.kill()`. A child that has
    /// exited gets none, which is no error.
    pub fn kill(&mut self, id: Id, signal: Signal) {
        let child = self.children.get(&id);
        if let Some(Err(error)) = child.map(|child| child.kill(signal)) {
            self.events.push(Event::Error(id, ChildError::Kill(error)));
        }
    }
    // ANCHOR_END: kill

    // ANCHOR: small
    /// The process id of a child. `None` if it could not be started, and from
    /// the call of [`wait`](Children::wait) on that follows its
    /// [`Event::Close`].
    pub fn pid(&self, id: Id) -> Option<Pid> {
        self.children.get(&id)?.pid
    }

    /// Whether messages can be sent to a child, like Node's `child.connected`.
    pub fn connected(&self, id: Id) -> bool {
        self.children.get(&id).is_some_and(|child| child.connected)
    }
    // ANCHOR_END: small
}
