// ANCHOR: top
//! A worker with an event loop: one thread, thousands of connections.

use std::{
    io::{self, ErrorKind},
    mem,
    os::fd::{AsFd, AsRawFd},
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use ch02_balance::{FdChannel, RawHandle, Received, poll_tokens};
use ch03_handles::Handle;
use ch04_events::SignalPipe;
use ch05_restart::{Handler, MAX_HEAD, Request, Response};
use ch06_reload::backlog::accept_distant;
use cli::{ACCEPT_PAUSE, LogLimit, complain, reason};
use mio::{Events, Interest, Poll, Token, net::TcpStream, unix::SourceFd};
use nix::poll::PollFd;
use serde_json::{Value, json};
use slab::Slab;

use crate::{
    connection::{Connection, Turn},
    listeners::{LISTENERS, Listeners},
    peers::{PEERS, Peers},
    print::Date,
    serve::WINDOW,
    socket_list::SocketList,
};
// ANCHOR_END: top

// ANCHOR: limits
/// How long a worker may drain after a panic or SIGTERM, and when its channel is
/// closed.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
const ORPHAN_LIMIT: Duration = Duration::from_secs(1);

/// A client that sends requests without a pause is told after this part of the drain
/// that the connection ends.
const BUSY_LIMIT: Duration = Duration::from_secs(1);

/// Events in a turn.
const EVENTS: usize = 1024;

/// Deadlines are looked at so often at most. So a deadline can be late by that.
const SWEEP_PAUSE: Duration = Duration::from_millis(100);
// ANCHOR_END: limits

// ANCHOR: tokens
/// What epoll calls the descriptors that are no connections and no listeners. A
/// connection's token is its index in the slab.
const SIGNALS: Token = Token(usize::MAX);
const CHANNEL: Token = Token(usize::MAX - 1);
// ANCHOR_END: tokens

// ANCHOR: fields
/// A worker of chapter 7. Its handler is one of chapter 5.
pub struct EventLoop<H> {
    pub(crate) poll: Poll,
    handler: H,
    signals: SignalPipe,
    /// `None`: it is closed.
    channel: Option<FdChannel>,
    listeners: Listeners,
    /// There may be something to receive or to send. Epoll says it once
    /// (edge-triggered), so it is remembered.
    is_receivable: bool,
    /// The primary has closed the channel.
    has_hung_up: bool,
    /// accept(2) failed: the listeners are left alone until then.
    accept_at: Option<Instant>,
    pub(crate) errors: LogLimit,
    pub(crate) connections: Slab<Connection>,
    pub(crate) max_connections: usize,
    /// Connections that can go on without an event.
    busy: Vec<usize>,
    /// No deadline of a connection is before this time.
    sweep_at: Option<Instant>,
    date: Date,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The primary is ours: it says when no further connection comes from it.
    has_primary: bool,
    /// Other workers, which take connections or give them.
    pub(crate) peers: Peers,
    /// The connections that a Node parent counts.
    sockets: SocketList,
    drain: Option<Drain>,
}
// ANCHOR_END: fields

// ANCHOR: drain
/// A worker that drains accepts no more. It exits when its connections are closed, or
/// at `until`.
struct Drain {
    since: Instant,
    until: Instant,
    exit_code: u8,
    /// The primary sends no further connection.
    is_last: bool,
    /// The whole server stops: idle connections are closed.
    is_stop: bool,
}
// ANCHOR_END: drain

impl<H: Handler> EventLoop<H> {
    // ANCHOR: new
    /// A worker with up to `max_connections` at once. Its listener or its connections
    /// arrive through `channel`, SIGTERM through `signals`.
    ///
    /// # Errors
    /// Those of epoll_create(2) and epoll_ctl(2).
    pub fn new(
        handler: H,
        channel: FdChannel,
        signals: SignalPipe,
        max_connections: usize,
    ) -> io::Result<EventLoop<H>> {
        let poll = Poll::new()?;
        let listeners = Listeners::new(&poll)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let fd = signals.as_fd().as_raw_fd();
        poll.registry().register(
            &mut SourceFd(&fd),
            SIGNALS,
            Interest::READABLE,
        )?;
        let fd = channel.as_fd().as_raw_fd();
        poll.registry().register(&mut SourceFd(&fd), CHANNEL, both)?;
        Ok(EventLoop {
            poll,
            handler,
            signals,
            channel: Some(channel),
            listeners,
            is_receivable: true,
            has_hung_up: false,
            accept_at: None,
            errors: LogLimit::new(),
            connections: Slab::new(),
            max_connections,
            busy: Vec::new(),
            sweep_at: None,
            date: Date::new(Instant::now()),
            input: vec![0; MAX_HEAD],
            output: Vec::new(),
            has_primary: false,
            peers: Peers::new(),
            sockets: SocketList::new(),
            drain: None,
        })
    }
    // ANCHOR_END: new

    // ANCHOR: run
    /// Serves until the worker has drained. Returns the exit code: after a panic 1.
    ///
    /// # Errors
    /// Those of epoll_wait(2); none is expected.
    pub fn run(mut self) -> io::Result<u8> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            // Before epoll_wait(2): if this process was stopped meanwhile (SIGSTOP),
            // what has arrived counts before what the clock says.
            let seen = Instant::now();
            self.accept_at.take_if(|at| *at <= seen);
            self.listeners.watch(self.has_room(), seen)?;
            self.wait(&mut events, seen)?;
            let now = Instant::now();
            for event in &events {
                match event.token() {
                    SIGNALS => self.on_signal(),
                    CHANNEL => {
                        self.is_receivable = true;
                        self.has_hung_up |= event.is_read_closed();
                    }
                    Token(token @ LISTENERS..) => self.accept(token, now),
                    Token(token @ PEERS..) => self.peers.set_ready(token),
                    Token(index) => {
                        if event.is_readable() || event.is_read_closed() {
                            self.set_readable(index, event.is_read_closed());
                        }
                        self.advance(index, now);
                    }
                }
            }
            for index in mem::take(&mut self.busy) {
                self.set_unqueued(index);
                self.advance(index, now);
            }
            self.receive(now)?;
            self.exchange(now)?;
            if events.iter().count() < EVENTS {
                self.sweep(seen, now);
            }
            if let Some(exit_code) = self.exit_code(seen) {
                return Ok(exit_code);
            }
        }
    }
    // ANCHOR_END: run

    // ANCHOR: wait
    /// Blocks until something is ready or a deadline passes.
    fn wait(&mut self, events: &mut Events, now: Instant) -> io::Result<()> {
        let timeout = if !self.busy.is_empty() {
            Some(Duration::ZERO)
        } else {
            let drain = self.drain.as_ref().map(|drain| drain.until);
            let look = self.listeners.deadline();
            let times = [self.sweep_at, self.accept_at, drain, look];
            let next = times.into_iter().flatten().min();
            next.map(|at| at.saturating_duration_since(now))
        };
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            result => result,
        }
    }

    fn has_room(&self) -> bool {
        self.room() > 0 && self.accept_at.is_none()
    }

    /// For how many connections there is room that is not promised to another worker.
    fn room(&self) -> u64 {
        self.free().saturating_sub(self.peers.taker.reserved())
    }
    // ANCHOR_END: wait

    // ANCHOR: accept
    /// Accepts a connection. The next one may go to a worker that has less to do.
    fn accept(&mut self, token: usize, now: Instant) {
        if !self.has_room() {
            return;
        }
        match self.listeners.accept(token) {
            Ok(Some(stream)) => drop(self.add(stream, now)),
            Ok(None) => {}
            Err(error) => self.pause_accepting(&error, now),
        }
    }

    /// No descriptor is free. The connection stays in the backlog.
    fn pause_accepting(&mut self, error: &io::Error, now: Instant) {
        let why = format!("cannot accept a connection: {}", reason(error));
        self.errors.complain(now, why);
        self.accept_at = Some(now + ACCEPT_PAUSE);
    }
    // ANCHOR_END: accept

    // ANCHOR: add
    /// Serves a new connection, and returns its index.
    fn add(&mut self, stream: TcpStream, now: Instant) -> usize {
        self.add_connection(Connection::new(stream, now), now)
    }

    /// The same for one that was served before, by this worker or another. Epoll looks
    /// at a descriptor when it is added: if a request is there already, that is an
    /// event.
    pub(crate) fn add_connection(
        &mut self,
        connection: Connection,
        now: Instant,
    ) -> usize {
        if self.drain.is_some() {
            accept_distant(&connection);
        }
        let index = self.connections.insert(connection);
        self.after_turn(index, now);
        index
    }
    // ANCHOR_END: add

    // ANCHOR: advance
    fn set_readable(&mut self, index: usize, is_end: bool) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.set_readable(is_end);
        }
    }

    fn set_unqueued(&mut self, index: usize) {
        if let Some(connection) = self.connections.get_mut(index) {
            connection.is_queued = false;
        }
    }

    /// Goes on with a connection, as far as that is possible without blocking.
    fn advance(&mut self, index: usize, now: Instant) {
        let must_close = self.must_close(now);
        let Some(connection) = self.connections.get_mut(index) else { return };
        let mut has_panicked = false;
        let handler = &mut self.handler;
        let mut handle = |request: &Request| {
            let handle = AssertUnwindSafe(|| handler.handle(request));
            catch_unwind(handle).unwrap_or_else(|_| {
                has_panicked = true;
                Response::new("500 Internal Server Error")
            })
        };
        let answered = connection.advance(&mut Turn {
            now,
            date: self.date.text(now),
            must_close,
            handle: &mut handle,
            input: &mut self.input,
            output: &mut self.output,
        });
        for _ in 0..answered {
            let answered = AssertUnwindSafe(|| self.handler.answered());
            has_panicked |= catch_unwind(answered).is_err();
        }
        // A panic leaves the handler in an unknown state. Until this worker exits, the
        // handler answers the open connections.
        if has_panicked {
            self.start_draining(DRAIN_LIMIT, 1);
        }
        self.after_turn(index, now);
    }

    /// Decides when the connection has its next turn.
    fn after_turn(&mut self, index: usize, now: Instant) {
        // If the worker has just begun to drain, the connection may be closed already.
        let Some(connection) = self.connections.get_mut(index) else { return };
        if connection.is_closed() {
            return self.remove(index);
        }
        if connection.can_go_on() && !mem::replace(&mut connection.is_queued, true)
        {
            self.busy.push(index);
        }
        let deadline = connection.deadline();
        let watched = connection.watch(self.poll.registry(), Token(index));
        self.note_deadline(deadline);
        if let Err(error) = watched {
            let why = format!("cannot wait for a client: {}", reason(&error));
            self.errors.complain(now, why);
            self.remove(index);
        }
    }

    fn remove(&mut self, index: usize) {
        let mut connection = self.connections.remove(index);
        if self.drain.is_some() {
            // Another worker may have a copy.
            self.peers.giver.withdraw(index);
            connection.unwatch(self.poll.registry());
        }
        if let Some(answer) = self.sockets.closed(index) {
            self.send(&answer);
        }
    }
    // ANCHOR_END: advance

    // ANCHOR: sweep
    fn note_deadline(&mut self, deadline: Instant) {
        self.sweep_at = Some(self.sweep_at.map_or(deadline, |at| at.min(deadline)));
    }

    /// Closes the connections whose time is up. It looks at all of them, but not more
    /// often than ten times a second, and only if there may be one.
    fn sweep(&mut self, seen: Instant, now: Instant) {
        if self.sweep_at.is_none_or(|at| seen < at) {
            return;
        }
        let is_late = |it: &Connection| it.deadline() <= seen;
        let late: Vec<usize> = self
            .connections
            .iter()
            .filter_map(|(index, connection)| is_late(connection).then_some(index))
            .collect();
        for index in late {
            self.connections[index].time_out(self.date.text(now));
            self.remove(index);
        }
        let next = self.connections.iter().map(|(_, it)| it.deadline()).min();
        self.sweep_at = next.map(|at| at.max(now + SWEEP_PAUSE));
    }
    // ANCHOR_END: sweep

    // ANCHOR: on_signal
    /// SIGTERM: the primary, or a user, asks this worker to drain.
    fn on_signal(&mut self) {
        if !self.signals.take().is_empty() {
            self.start_draining(DRAIN_LIMIT, 0);
        }
    }
    // ANCHOR_END: on_signal

    // ANCHOR: on_channel
    /// Receives from the primary. A worker that is full leaves connections in the
    /// channel; but one that drains must hear to which workers it can give its own.
    fn receive(&mut self, now: Instant) -> io::Result<()> {
        while self.is_receivable
            && (self.room() > 0 || self.has_hung_up || self.drain.is_some())
        {
            // Each line may be a connection.
            let lines = self.room().clamp(1, WINDOW as u64) as usize;
            let Some(channel) = &mut self.channel else { return Ok(()) };
            channel.set_batch(lines);
            // Epoll says once that something has arrived. poll(2) says whether there
            // is more, and whether the channel waits for room to write.
            let fd = PollFd::new(channel.as_fd(), channel.interest());
            self.is_receivable =
                !poll_tokens(vec![((), fd)], Some(now))?.is_empty();
            for received in channel.receive() {
                self.on_received(received, now);
            }
        }
        Ok(())
    }

    fn on_received(&mut self, received: Received<RawHandle>, now: Instant) {
        match received {
            Received::Handle(message, RawHandle { kind, key, fd }) => {
                match Handle::from_fd(&kind, fd) {
                    Ok(handle) => self.on_handle(message, key, handle, now),
                    Err(wrong) => self.errors.complain(now, wrong),
                }
            }
            Received::Message(message) if message["act"] == "last" => {
                self.on_last(message["stop"] == true, now);
            }
            Received::Message(message) if message["act"] == "go" => {
                self.on_go(message["n"].as_u64());
            }
            Received::Message(message) if message["act"] == "release" => {
                self.listeners.close(|slot| message["slot"] == slot);
            }
            Received::Message(message) => self.handler.on_message(&message),
            Received::Internal(message) => {
                if let Some(answer) = self.sockets.on_message(&message) {
                    self.send(&answer);
                }
            }
            Received::Ignored(why) => self.errors.complain(now, why),
            Received::Closed(error) => {
                if let Some(error) = error {
                    complain(error);
                }
                self.channel = None;
                self.start_draining(ORPHAN_LIMIT, 0);
                self.on_last(true, now);
            }
            Received::Acked | Received::Returned(..) => {}
        }
    }
    // ANCHOR_END: on_channel

    // ANCHOR: on_handle
    fn on_handle(
        &mut self,
        message: Value,
        key: Option<String>,
        handle: Handle,
        now: Instant,
    ) {
        let done = match handle {
            Handle::TcpListener(listener) => {
                self.has_primary |= message["act"] == "listen";
                self.handler.on_message(&message);
                if self.drain.is_some() || message["accept"] == false {
                    return;
                }
                let slot = message["slot"].as_u64().unwrap_or(0);
                self.listeners.add(slot, listener)
            }
            Handle::Tcp(stream) => stream.set_nonblocking(true).map(|()| {
                let index = self.add(TcpStream::from_std(stream), now);
                if let Some(key) = key.filter(|_| self.connections.contains(index))
                {
                    self.sockets.opened(index, key);
                }
            }),
            Handle::Unix(stream) if message["act"] == "give" => {
                self.add_peer(stream, message["n"].as_u64(), false)
            }
            Handle::Unix(stream) if message["act"] == "take" => {
                self.add_peer(stream, message["n"].as_u64(), true)
            }
            _ => Ok(()),
        };
        if let Err(error) = done {
            let why = format!("cannot use a handle: {}", reason(&error));
            self.errors.complain(now, why);
        }
    }
    // ANCHOR_END: on_handle

    // ANCHOR: send
    /// Sends a message to the primary. If it cannot be sent, the primary does without
    /// it.
    fn send(&mut self, message: &Value) {
        if let Some(channel) = &mut self.channel {
            let _ = channel.send(message);
            self.is_receivable = true;
        }
    }
    // ANCHOR_END: send

    // ANCHOR: start_draining
    /// Stops accepting, and asks the primary for a replacement. The first reason sets
    /// the exit code; a later one can only bring the deadline closer.
    fn start_draining(&mut self, limit: Duration, exit_code: u8) {
        let since = Instant::now();
        let until = since + limit;
        if let Some(drain) = &mut self.drain {
            drain.until = drain.until.min(until);
            return;
        }
        // epoll may have woken only this worker for a connection: accept it.
        for token in self.listeners.tokens() {
            self.accept(token, since);
        }
        self.listeners.close(|_| true);
        for (_, connection) in &self.connections {
            // If the listener has begun to drop packets (chapter 6), a connection that
            // was accepted at the very end does so, too.
            accept_distant(connection);
        }
        self.drain =
            Some(Drain { since, until, exit_code, is_last: false, is_stop: false });
        self.send(&json!({"act": "suicide"}));
        self.stop_taking();
        if !self.has_primary {
            self.on_last(true, since);
        }
    }

    /// No further connection comes from the primary. `is_stop`: the whole server stops,
    /// so no other worker can go on with the connections of this one.
    fn on_last(&mut self, is_stop: bool, now: Instant) {
        let Some(drain) = &mut self.drain else { return };
        drain.is_last = true;
        if is_stop && !mem::replace(&mut drain.is_stop, true) {
            self.close_idle(now);
        }
    }

    /// Closes the connections that wait for another request, unless it has arrived.
    fn close_idle(&mut self, now: Instant) {
        for index in self.idle() {
            self.set_readable(index, false);
            self.advance(index, now);
            let is_idle = |it: &Connection| it.is_idle() && !it.is_fresh();
            if self.connections.get(index).is_some_and(is_idle) {
                self.remove(index);
            }
        }
    }

    /// The connections between two requests.
    pub(crate) fn idle(&self) -> Vec<usize> {
        let idle = self.connections.iter().filter(|(_, it)| it.is_idle());
        idle.map(|(index, _)| index).collect()
    }
    // ANCHOR_END: start_draining

    // ANCHOR: exit_code
    /// Whether this worker gives its connections to others.
    pub(crate) fn gives(&self) -> bool {
        self.drain.as_ref().is_some_and(|drain| !drain.is_stop)
    }

    /// Whether each response must say that the connection is closed.
    fn must_close(&self, now: Instant) -> bool {
        let Some(drain) = &self.drain else { return false };
        drain.is_stop || drain.since + BUSY_LIMIT <= now
    }

    /// The exit code, once the worker has drained.
    fn exit_code(&self, seen: Instant) -> Option<u8> {
        let drain = self.drain.as_ref()?;
        let has_some =
            !self.connections.is_empty() || self.peers.giver.is_leaving();
        let is_done = !has_some && drain.is_last;
        (is_done || drain.until <= seen).then_some(drain.exit_code)
    }
    // ANCHOR_END: exit_code
}
