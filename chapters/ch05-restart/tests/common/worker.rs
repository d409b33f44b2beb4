//! A worker whose parent is the test itself.

use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener};

use ch02_balance::Received;
use ch03_handles::{Handle, HandleChannel};
use serde_json::Value;
use testkit::{Program, Running, try_eventually};

use super::{SOON, program};

/// A worker, the channel to it, and where it serves.
pub struct Alone {
    pub worker: Running,
    pub channel: HandleChannel,
    pub addr: SocketAddr,
    /// The test's copy: the port stays open when the worker closes its own.
    pub listener: TcpListener,
    received: VecDeque<Received<Handle>>,
}

/// Starts a worker, gives it a listener, and returns once it has acknowledged that.
#[track_caller]
pub fn alone(crash_after: u64) -> Alone {
    alone_as(program().args(["worker", "--crash-after", &crash_after.to_string()]))
}

/// As [`alone`], with another program that speaks as a worker does.
#[track_caller]
pub fn alone_as(program: Program) -> Alone {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("its address");
    let (program, stream) = program.channel();
    let channel = HandleChannel::new(stream).expect("a channel");
    let worker = program.start();
    let received = VecDeque::new();
    let mut alone = Alone { worker, channel, addr, listener, received };
    let copy = Handle::TcpListener(alone.listener.try_clone().expect("a copy"));
    alone.channel.send_handle(Value::from("server"), copy).expect("it is sent");
    let first = alone.next();
    assert!(
        matches!(first, Received::Acked),
        "it acknowledges its listener: {first:?}"
    );
    alone
}

impl Alone {
    /// Blocks until the worker sends something.
    #[track_caller]
    pub fn next(&mut self) -> Received<Handle> {
        let next = try_eventually(SOON, || {
            self.received.extend(self.channel.receive());
            self.received.pop_front()
        });
        next.expect("the worker sends something")
    }

    /// Blocks until the worker closes its channel, and returns all messages before
    /// that.
    #[track_caller]
    pub fn last_messages(&mut self) -> Vec<Value> {
        let mut messages = Vec::new();
        loop {
            match self.next() {
                Received::Message(message) => messages.push(message),
                Received::Closed(None) => return messages,
                other => panic!("a worker sends nothing else: {other:?}"),
            }
        }
    }
}
