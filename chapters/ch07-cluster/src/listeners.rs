// ANCHOR: top
//! The listeners of a worker: several workers wait for the same connections.

use std::{
    io::{self, ErrorKind},
    os::fd::{AsRawFd, BorrowedFd},
    time::{Duration, Instant},
};

use mio::{
    Poll,
    net::{TcpListener, TcpStream},
};
use nix::sys::{
    epoll::{Epoll, EpollEvent, EpollFlags},
    socket::{setsockopt, sockopt::TcpNoDelay},
};
// ANCHOR_END: top

// ANCHOR: limits
/// What epoll calls the listeners: numbers from this one on.
pub const LISTENERS: usize = usize::MAX / 2;

/// After so many connections, a worker goes to the end of a listener's queue of
/// workers that wait.
const ACCEPTS: u64 = 16;

/// A connection wakes one worker. If that one is stopped at this moment, or busy, the
/// others look after this time whether a connection waits.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
// ANCHOR_END: limits

// ANCHOR: listeners
/// The listeners of a worker.
pub struct Listeners {
    /// The worker's epoll, for what `mio` does not offer.
    epoll: Epoll,
    /// None: they have not arrived yet, the primary accepts, or the worker drains.
    list: Vec<Listener>,
    next_token: usize,
}

struct Listener {
    token: usize,
    /// Its number with the primary. Another parent may give all the same one.
    slot: u64,
    socket: TcpListener,
    /// Since then epoll says when a connection waits. `None`: it does not.
    watched_at: Option<Instant>,
    /// Connections that were accepted from it.
    accepted: u64,
}
// ANCHOR_END: listeners

impl Listeners {
    // ANCHOR: new
    /// No listener.
    ///
    /// # Errors
    /// If no descriptor is free.
    pub fn new(poll: &Poll) -> io::Result<Listeners> {
        // SAFETY: the descriptor is open as long as `poll` lives.
        let epoll = unsafe { BorrowedFd::borrow_raw(poll.as_raw_fd()) };
        let epoll = Epoll(epoll.try_clone_to_owned()?);
        Ok(Listeners { epoll, list: Vec::new(), next_token: LISTENERS })
    }

    /// Adds a listener. It is not watched yet.
    ///
    /// # Errors
    /// Those of fcntl(2) and setsockopt(2); none is expected.
    pub fn add(
        &mut self,
        slot: u64,
        socket: std::net::TcpListener,
    ) -> io::Result<()> {
        socket.set_nonblocking(true)?;
        // Linux passes it on to the connections: no response waits for an ACK.
        setsockopt(&socket, TcpNoDelay, &true)?;
        let socket = TcpListener::from_std(socket);
        let token = self.next_token;
        self.next_token += 1;
        let (watched_at, accepted) = (None, 0);
        self.list.push(Listener { token, slot, socket, watched_at, accepted });
        Ok(())
    }

    /// Closes this worker's copies of some listeners.
    pub fn close(&mut self, is_meant: impl Fn(u64) -> bool) {
        for listener in &mut self.list {
            if is_meant(listener.slot) {
                listener.unwatch(&self.epoll);
            }
        }
        self.list.retain(|it| !is_meant(it.slot));
    }
    // ANCHOR_END: new

    // ANCHOR: watch
    /// Lets epoll watch the listeners as long as there is room. All workers watch the
    /// same ones: with `EPOLLEXCLUSIVE`, a connection wakes one of them.
    ///
    /// # Errors
    /// Those of epoll_ctl(2); none is expected.
    pub fn watch(&mut self, has_room: bool, now: Instant) -> io::Result<()> {
        for listener in &mut self.list {
            let is_old = |at: Instant| at + LOOK_PAUSE <= now;
            if !has_room || listener.watched_at.is_some_and(is_old) {
                listener.unwatch(&self.epoll);
            }
            // Epoll looks at a listener when it is added.
            if has_room && listener.watched_at.is_none() {
                listener.watch(&self.epoll, now)?;
            }
        }
        Ok(())
    }

    /// When [`watch`](Listeners::watch) must be called even if nothing happens.
    pub fn deadline(&self) -> Option<Instant> {
        let watched = self.list.iter().filter_map(|it| it.watched_at);
        watched.min().map(|at| at + LOOK_PAUSE)
    }
    // ANCHOR_END: watch

    // ANCHOR: accept
    /// Accepts a connection from the listener with this token. `None`: another worker
    /// was faster, or the client is gone.
    ///
    /// # Errors
    /// Those of accept(2): usually no descriptor is free.
    pub fn accept(&mut self, token: usize) -> io::Result<Option<TcpStream>> {
        let mut list = self.list.iter_mut();
        let Some(listener) = list.find(|it| it.token == token) else {
            return Ok(None);
        };
        match listener.socket.accept() {
            Ok((stream, _)) => {
                listener.accepted += 1;
                if listener.accepted % ACCEPTS == 0 {
                    // It is watched again before the loop waits.
                    listener.unwatch(&self.epoll);
                }
                Ok(Some(stream))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::ConnectionAborted => Ok(None),
                _ => Err(error),
            },
        }
    }

    /// The tokens of all listeners.
    pub fn tokens(&self) -> Vec<usize> {
        self.list.iter().map(|it| it.token).collect()
    }
    // ANCHOR_END: accept
}

// ANCHOR: listener
impl Listener {
    /// From now on epoll says when a connection waits, as long as one does
    /// (level-triggered). It wakes the worker that watches the longest, if that one
    /// waits.
    fn watch(&mut self, epoll: &Epoll, now: Instant) -> io::Result<()> {
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLEXCLUSIVE;
        epoll.add(&self.socket, EpollEvent::new(flags, self.token as u64))?;
        self.watched_at = Some(now);
        Ok(())
    }

    /// To close the listener is not enough: the primary has a copy (epoll(7)).
    fn unwatch(&mut self, epoll: &Epoll) {
        if self.watched_at.take().is_some() {
            let _ = epoll.delete(&self.socket);
        }
    }
}
// ANCHOR_END: listener
