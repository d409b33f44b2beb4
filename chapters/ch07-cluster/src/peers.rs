// ANCHOR: top
//! The channels between workers: they carry out what `hand_over.rs` decides.

use std::{
    io,
    os::{
        fd::{AsFd, AsRawFd},
        unix::net::UnixStream,
    },
    time::Instant,
};

use ch02_balance::{FdChannel, RawHandle, Received, poll_tokens};
use ch03_handles::Handle;
use ch05_restart::Handler;
use mio::{Interest, Token, net::TcpStream, unix::SourceFd};
use nix::poll::PollFd;
use serde_json::{Value, json};
use slab::Slab;

use crate::{
    connection::Connection,
    event_loop::EventLoop,
    hand_over::{Giver, Taker},
    serve::WINDOW,
};
// ANCHOR_END: top

// ANCHOR: fields
/// The token of a channel to another worker is its index behind this.
pub const PEERS: usize = usize::MAX / 4;

/// The other workers with which this one exchanges connections.
pub struct Peers {
    channels: Slab<Peer>,
    pub giver: Giver<Connection>,
    pub taker: Taker<TcpStream>,
}

/// A channel to another worker.
struct Peer {
    channel: FdChannel,
    /// The number of its introduction, until the primary says that it is complete.
    /// Nothing is read from it before that.
    waits_for: Option<u64>,
    /// There may be something to receive or to send. Epoll says it once.
    is_ready: bool,
}

impl Peers {
    /// None yet.
    pub fn new() -> Peers {
        let (giver, taker) = (Giver::default(), Taker::default());
        Peers { channels: Slab::new(), giver, taker }
    }

    /// Epoll says that there is something to do on the channel with this token.
    pub fn set_ready(&mut self, token: usize) {
        if let Some(peer) = self.channels.get_mut(token - PEERS) {
            peer.is_ready = true;
        }
    }

    fn send(&mut self, peer: usize, message: &Value) {
        if let Some(peer) = self.channels.get_mut(peer) {
            // If the other one is gone, that is received.
            let _ = peer.channel.send(message);
            peer.is_ready = true;
        }
    }
}
// ANCHOR_END: fields

impl<H: Handler> EventLoop<H> {
    // ANCHOR: add_peer
    /// The primary introduces another worker. `is_giver`: that one drains, and this one
    /// takes.
    pub fn add_peer(
        &mut self,
        stream: UnixStream,
        number: Option<u64>,
        is_giver: bool,
    ) -> io::Result<()> {
        let channel = FdChannel::new(stream, WINDOW)?;
        let fd = channel.as_fd().as_raw_fd();
        let entry = self.peers.channels.vacant_entry();
        let peer = entry.key();
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(
            &mut SourceFd(&fd),
            Token(PEERS + peer),
            both,
        )?;
        let waits_for = number.filter(|_| !is_giver);
        entry.insert(Peer { channel, waits_for, is_ready: true });
        if is_giver {
            let room = self.peers.taker.add_giver(peer, self.free());
            let load = self.connections.len();
            self.peers
                .send(peer, &json!({"act": "room", "room": room, "load": load}));
        } else {
            self.peers.giver.add_taker(peer);
        }
        Ok(())
    }

    /// An introduction is complete: connections may be offered there.
    pub fn on_go(&mut self, number: Option<u64>) {
        for (_, peer) in &mut self.peers.channels {
            peer.waits_for.take_if(|waits_for| Some(*waits_for) == number);
        }
    }

    /// How many more connections there is room for.
    pub fn free(&self) -> u64 {
        self.max_connections.saturating_sub(self.connections.len()) as u64
    }
    // ANCHOR_END: add_peer

    // ANCHOR: exchange
    /// Receives from the other workers; offers them connections if this one drains.
    pub fn exchange(&mut self, now: Instant) -> io::Result<()> {
        let indices: Vec<usize> =
            self.peers.channels.iter().map(|(index, _)| index).collect();
        for peer in indices {
            while let Some(it) = self.peers.channels.get_mut(peer) {
                if !it.is_ready || it.waits_for.is_some() {
                    break;
                }
                // As with the primary's channel: poll(2) says whether there is more.
                let fd = PollFd::new(it.channel.as_fd(), it.channel.interest());
                it.is_ready = !poll_tokens(vec![((), fd)], Some(now))?.is_empty();
                for received in it.channel.receive() {
                    self.on_peer(peer, received, now);
                }
            }
        }
        if self.gives() {
            self.offer_idle();
        }
        Ok(())
    }
    // ANCHOR_END: exchange

    // ANCHOR: offer_idle
    /// Offers idle connections, as many as the others have room for.
    fn offer_idle(&mut self) {
        if self.peers.giver.taker().is_none() {
            return;
        }
        let offered: Vec<usize> = self.peers.giver.offered().collect();
        for index in self.idle() {
            let Some(taker) = self.peers.giver.taker() else { return };
            if offered.contains(&index) {
                continue;
            }
            // A copy: this worker serves the connection until the other one has it.
            let Ok(copy) = self.connections[index].as_fd().try_clone_to_owned()
            else {
                return; // no descriptor is free: in a later turn
            };
            let number = self.peers.giver.offer(taker, index);
            let message = json!({"act": "offer", "n": number});
            let Some(peer) = self.peers.channels.get_mut(taker) else { return };
            let _ = peer.channel.send_handle("net.Socket", message, copy);
            peer.is_ready = true;
        }
    }
    // ANCHOR_END: offer_idle

    // ANCHOR: on_peer
    fn on_peer(
        &mut self,
        peer: usize,
        received: Received<RawHandle>,
        now: Instant,
    ) {
        match received {
            Received::Message(message) => self.on_peer_message(peer, &message, now),
            Received::Handle(message, RawHandle { kind, fd, .. }) => {
                if let (Some(number), Ok(Handle::Tcp(stream))) =
                    (message["n"].as_u64(), Handle::from_fd(&kind, fd))
                {
                    let stream = TcpStream::from_std(stream);
                    self.peers.taker.on_offer(peer, number, stream);
                }
            }
            Received::Acked => self.on_peer_acked(peer),
            Received::Returned(..) => {
                // It could not be received, three times: no descriptor is free there.
                if let Some((number, _)) = self.peers.giver.on_acked(peer) {
                    self.peers.giver.forget(number);
                }
                self.peers.giver.on_room(peer, 0, 0);
            }
            Received::Closed(_) => {
                self.peers.channels.remove(peer);
                self.peers.taker.on_closed(peer);
                for connection in self.peers.giver.on_closed(peer) {
                    self.add_connection(connection, now);
                }
            }
            Received::Ignored(why) => self.errors.complain(now, why),
            Received::Internal(_) => {}
        }
    }
    // ANCHOR_END: on_peer

    // ANCHOR: on_peer_acked
    /// Another worker has the descriptor of an offered connection. If the connection
    /// is still idle, that worker takes it.
    fn on_peer_acked(&mut self, peer: usize) {
        let Some((number, index)) = self.peers.giver.on_acked(peer) else { return };
        let idle =
            index.filter(|&it| self.gives() && self.connections[it].is_idle());
        match idle {
            Some(index) => {
                let mut connection = self.connections.remove(index);
                connection.unwatch(self.poll.registry());
                let is_fresh = connection.is_fresh();
                self.peers.giver.leave(number, connection);
                let message =
                    json!({"act": "take", "n": number, "fresh": is_fresh});
                self.peers.send(peer, &message);
            }
            None => {
                self.peers.giver.forget(number);
                self.peers.send(peer, &json!({"act": "drop", "n": number}));
            }
        }
    }
    // ANCHOR_END: on_peer_acked

    // ANCHOR: on_peer_message
    fn on_peer_message(&mut self, peer: usize, message: &Value, now: Instant) {
        let field = |name: &str| message[name].as_u64().unwrap_or(0);
        let (number, room, load) = (field("n"), field("room"), field("load"));
        match message["act"].as_str().unwrap_or_default() {
            "room" => self.peers.giver.on_room(peer, room, load),
            "taken" => {
                // It is dropped here: this worker's copy is closed.
                self.peers.giver.on_taken(number);
                self.peers.giver.on_more_room(peer, room, load);
            }
            "dropped" => self.peers.giver.on_more_room(peer, room, load),
            "take" => {
                let stream = self.peers.taker.remove(peer, number);
                let Some(stream) = stream else { return };
                // One place is for this connection.
                let free = self.free().saturating_sub(1);
                let room = self.peers.taker.more_room(peer, free);
                let load = self.connections.len() + 1;
                // First the message: from here on the connection is this worker's.
                self.peers.send(
                    peer,
                    &json!({"act": "taken", "n": number, "room": room, "load": load}),
                );
                let is_fresh = message["fresh"] == true;
                self.add_connection(Connection::taken(stream, is_fresh, now), now);
            }
            "drop" => {
                self.peers.taker.remove(peer, number);
                let room = self.peers.taker.more_room(peer, self.free());
                let load = self.connections.len();
                let message = json!({"act": "dropped", "room": room, "load": load});
                self.peers.send(peer, &message);
            }
            _ => {}
        }
    }
    // ANCHOR_END: on_peer_message

    // ANCHOR: close_taker
    /// This worker drains: the others may offer it nothing more.
    pub fn stop_taking(&mut self) {
        for giver in self.peers.taker.close() {
            self.peers.send(giver, &json!({"act": "room", "room": 0, "load": 0}));
        }
    }
    // ANCHOR_END: close_taker
}
