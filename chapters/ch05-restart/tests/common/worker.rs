//! A worker whose parent is the test itself.

use std::net::{SocketAddr, TcpListener};

use ch03_handles::{Delivery, Handle, HandleChannel};
use serde_json::Value;
use testkit::{Program, Running, try_eventually};

use super::{SOON, program};

/// A worker, the channel to it, and where it serves.
pub struct Alone {
    pub worker: Running,
    pub channel: HandleChannel,
    pub addr: SocketAddr,
    /// The test's copy: the port stays open when the worker closes its own.
    pub listener: Option<TcpListener>,
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
    let mut alone = Alone {
        worker: program.start(),
        channel: HandleChannel::new(stream).expect("a channel"),
        addr,
        listener: Some(listener),
    };
    let copy =
        alone.listener.as_ref().expect("it is there").try_clone().expect("a copy");
    let sent =
        alone.channel.send_handle(Value::from("server"), Handle::TcpListener(copy));
    sent.expect("the listener leaves");
    assert!(
        matches!(alone.next(), Some(Delivery::Acked)),
        "the worker acknowledges its listener"
    );
    alone
}

impl Alone {
    /// Blocks until the worker says something; `None` when it closes the channel.
    #[track_caller]
    pub fn next(&mut self) -> Option<Delivery> {
        let next = try_eventually(SOON, || match self.channel.recv() {
            Err(error) if error.would_block() => None,
            other => Some(other),
        });
        let next = next.expect("the worker says something");
        next.unwrap_or_else(|error| {
            panic!("what the worker says is no message: {error}")
        })
    }

    /// Blocks until the worker ends its channel, and returns all messages that came before.
    #[track_caller]
    pub fn last_words(&mut self) -> Vec<Value> {
        let mut words = Vec::new();
        while let Some(delivery) = self.next() {
            match delivery {
                Delivery::Message(received) => words.push(received.message),
                other => panic!("a worker has nothing else to say: {other:?}"),
            }
        }
        words
    }
}
