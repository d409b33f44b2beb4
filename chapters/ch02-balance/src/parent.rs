//! The parent: accepts, never reads, and gives each connection to the child whose turn it is.

use std::{
    collections::VecDeque,
    io::ErrorKind,
    net::TcpListener,
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use ch01_fork_ipc::signals_end;
use ch02_balance::{FdChannel, RoundRobin, poll_until};
use cli::{ACCEPT_PAUSE, complain, reason};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, poll},
    sys::signal::Signal,
};
use serde_json::Value;

use crate::place::{Place, Start};

/// Connections that are accepted in a row. Then the children are heard: one whose acknowledgements
/// nobody reads looks busy, and would be passed over.
const IN_A_ROW: usize = 32;

/// How long the parent may still accept those who wait and hand them out, when it is asked to end.
const STOP_LIMIT: Duration = Duration::from_millis(500);

/// What poll(2) has found.
struct Ready {
    /// There is a connection to accept.
    connections: bool,
    /// A signal asks this process to end.
    stop: bool,
}

/// The parent of chapter 2.
pub struct Balancer<'a> {
    /// `None`: this process was asked to end, and accepts no more.
    listener: Option<TcpListener>,
    /// Ends when SIGTERM or SIGINT comes; its other end is only there to be open.
    stop: [UnixStream; 2],
    /// This process ends then, whatever is under way.
    stop_at: Option<Instant>,
    places: [Place<'a>; 2],
    turn: RoundRobin,
    /// Connections that came back: a child had not acknowledged them. They go to another.
    returned: VecDeque<(Value, OwnedFd)>,
    /// Descriptors have run out, here or in a child: nothing is accepted or sent before then.
    pause_until: Option<Instant>,
}

impl Balancer<'_> {
    /// Starts the children `names`.
    pub fn start<'a>(
        listener: TcpListener,
        names: [&'static str; 2],
        start: Start<'a>,
    ) -> anyhow::Result<Balancer<'a>> {
        listener.set_nonblocking(true)?;
        let stop: [UnixStream; 2] = UnixStream::pair()?.into();
        signals_end(&stop[0], &[Signal::SIGTERM, Signal::SIGINT])?;
        let mut places = names.map(|name| Place::new(name, start));
        for place in &mut places {
            place.fill()?;
        }
        Ok(Balancer {
            listener: Some(listener),
            stop,
            stop_at: None,
            places,
            turn: RoundRobin::default(),
            returned: VecDeque::new(),
            pause_until: None,
        })
    }

    // ANCHOR: run
    /// Hands out connections until a signal asks this process to end.
    pub fn run(mut self) -> anyhow::Result<ExitCode> {
        loop {
            let Ready { connections, stop } =
                self.wait().context("cannot wait for connections")?;
            for place in &mut self.places {
                let back = place.tend();
                if back.refused {
                    self.pause_until = Some(Instant::now() + ACCEPT_PAUSE);
                }
                self.returned.extend(back.connections);
            }
            if stop {
                self.stop_at = Some(Instant::now() + STOP_LIMIT);
            }
            self.pause_until.take_if(|until| *until <= Instant::now());
            if self.pause_until.is_none() {
                self.place_returned();
                if connections || self.stop_at.is_some() {
                    self.accept();
                }
            }
            if self.has_finished() {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
    // ANCHOR_END: run

    // ANCHOR: wait
    /// Waits until there is something to do.
    fn wait(&self) -> Result<Ready, Errno> {
        let mut polled = Vec::with_capacity(4);
        let accepts = self.pause_until.is_none() && self.has_room();
        let listener = self.listener.as_ref().filter(|_| accepts);
        polled
            .extend(listener.map(|it| PollFd::new(it.as_fd(), PollFlags::POLLIN)));
        if self.stop_at.is_none() {
            polled.push(PollFd::new(self.stop[0].as_fd(), PollFlags::POLLIN));
        }
        for channel in self.places.iter().filter_map(Place::channel) {
            polled.push(PollFd::new(channel.as_fd(), channel.interest()));
        }
        let times = self.places.iter().filter_map(Place::wakes_at);
        let first = times.chain(self.pause_until).chain(self.stop_at).min();
        match poll(&mut polled, poll_until(first)) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
        let mut ready = polled.iter().map(|it| it.any() == Some(true));
        let connections = listener.is_some() && ready.next() == Some(true);
        let stop = self.stop_at.is_none() && ready.next() == Some(true);
        Ok(Ready { connections, stop })
    }
    // ANCHOR_END: wait

    // ANCHOR: accept
    /// Accepts those who wait, as long as a child has room. Nobody reads a byte of them here. When this
    /// process is to end and nobody waits any more, it closes the listener: the kernel resets whoever
    /// is left in its backlog.
    fn accept(&mut self) {
        for _ in 0..IN_A_ROW {
            let room = self.has_room();
            let Some(listener) = self.listener.as_ref().filter(|_| room) else {
                return;
            };
            match listener.accept() {
                Ok((connection, _)) => {
                    self.give(Value::from("socket"), connection.into())
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.stop_at.is_some() {
                        self.listener = None;
                    }
                    return;
                }
                // This client is gone again (accept(2)). The next one may be there.
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    complain(format_args!(
                        "cannot accept a connection: {}",
                        reason(&error)
                    ));
                    self.pause_until = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }
    // ANCHOR_END: accept

    // ANCHOR: has_finished
    /// Whether this process may end: the children have all that was accepted, or the time is up.
    fn has_finished(&self) -> bool {
        let under_way = self
            .places
            .iter()
            .filter_map(Place::channel)
            .any(FdChannel::awaits_answer);
        let done =
            self.listener.is_none() && self.returned.is_empty() && !under_way;
        self.stop_at.is_some_and(|limit| done || limit <= Instant::now())
    }
    // ANCHOR_END: has_finished

    // ANCHOR: place_returned
    fn place_returned(&mut self) {
        while self.places.iter().any(Place::has_room) {
            let Some((message, connection)) = self.returned.pop_front() else {
                return;
            };
            self.give(message, connection);
        }
    }
    // ANCHOR_END: place_returned

    // ANCHOR: give
    /// Gives a connection to the child whose turn it is.
    fn give(&mut self, message: Value, connection: OwnedFd) {
        let turn = self
            .turn
            .pick(self.places.len(), |index| self.places[index].has_room());
        match turn {
            Some(index) => {
                self.returned.extend(self.places[index].pass(message, connection))
            }
            None => self.returned.push_back((message, connection)),
        }
    }
    // ANCHOR_END: give

    // ANCHOR: has_room
    /// Whether a new connection could go to a child at once. Those that came back go first.
    fn has_room(&self) -> bool {
        self.returned.is_empty() && self.places.iter().any(Place::has_room)
    }
    // ANCHOR_END: has_room
}
