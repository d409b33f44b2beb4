//! What the tests of this chapter share: a server, its workers as its log tells of
//! them, a worker whose parent is the test.

#![allow(dead_code)] // Each test program uses its part of this.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use ch02_balance::{FdChannel, RawHandle, Received};
use serde_json::{Value, json};
use testkit::http::{Client, Response};
use testkit::load::{Kind, Load};
use testkit::{Program, Running, pid_in, try_eventually};

/// For what should happen soon. It is long because the machine may be busy.
pub const SOON: Duration = Duration::from_secs(15);

/// The three ways.
pub const SHARINGS: [&str; 3] = ["shared", "round-robin", "reuseport"];

/// A whole request.
pub const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// The chapter's program.
pub fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_ch07-cluster"))
}

/// Starts a server on a free port, and returns once its workers are ready.
#[track_caller]
pub fn server(workers: usize, sharing: &str, arguments: &[&str]) -> Running {
    let number = workers.to_string();
    let base = ["--port", "0", "--workers", &number, "--sharing", sharing];
    let server = program().args(base).args(arguments).start();
    server.wait_for_lines("is ready", workers);
    server
}

/// The workers that are ready, and neither drain nor have exited: as the log says.
pub fn serving(server: &Running) -> BTreeSet<i32> {
    let mut serving = BTreeSet::new();
    for line in server.stdout().lines() {
        let mut words =
            line.split_whitespace().skip_while(|word| *word != "worker");
        let pid = words.nth(1).and_then(|word| word.parse().ok());
        match pid {
            Some(pid) if line.ends_with("is ready") => drop(serving.insert(pid)),
            Some(pid) if !line.ends_with("started") => drop(serving.remove(&pid)),
            _ => {}
        }
    }
    serving
}

/// A load of one request a connection.
pub fn load(server: &Running, clients: usize, kind: Kind) -> Load {
    Load { addr: server.addr(), clients, kind }
}

/// The process that sent a response.
#[track_caller]
pub fn pid(response: std::io::Result<Response>) -> i32 {
    let response = response.expect("a response");
    assert_eq!(response.status, 200, "{response:?}");
    pid_in(&response.body).expect("a pid")
}

/// A client that has had a response on its connection.
#[track_caller]
pub fn kept(addr: SocketAddr) -> Client {
    let mut client = Client::connect(addr).expect("to connect");
    pid(client.get("/"));
    client
}

/// A worker whose primary is the test itself.
pub struct Alone {
    pub worker: Running,
    pub channel: FdChannel,
    pub addr: SocketAddr,
    pub listener: TcpListener,
    received: VecDeque<Received<RawHandle>>,
}

/// Starts a worker, gives it a listener, and returns once it has acknowledged that.
#[track_caller]
pub fn alone(arguments: &[&str]) -> Alone {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    alone_on(listener, arguments)
}

/// As [`alone`], with this listener.
#[track_caller]
pub fn alone_on(listener: TcpListener, arguments: &[&str]) -> Alone {
    let message = json!({"act": "listen", "slot": 0, "accept": true});
    alone_with(listener, message, arguments)
}

/// As [`alone_on`], with this message.
#[track_caller]
pub fn alone_with(
    listener: TcpListener,
    message: Value,
    arguments: &[&str],
) -> Alone {
    let addr = listener.local_addr().expect("its address");
    let (program, stream) = program().arg("worker").args(arguments).channel();
    let channel = FdChannel::new(stream, 64).expect("a channel");
    let worker = program.start();
    let received = VecDeque::new();
    let copy = listener.try_clone().expect("a copy");
    let mut alone = Alone { worker, channel, addr, listener, received };
    alone.channel.send_handle("net.Server", message, copy.into()).expect("to send");
    assert!(matches!(alone.next(), Received::Acked));
    alone
}

impl Alone {
    /// Blocks until the worker sends something.
    #[track_caller]
    pub fn next(&mut self) -> Received<RawHandle> {
        let next = try_eventually(SOON, || {
            self.received.extend(self.channel.receive());
            self.received.pop_front()
        });
        next.expect("the worker sends something")
    }

    /// Blocks until the worker says that it drains.
    #[track_caller]
    pub fn wait_for_drain(&mut self) {
        loop {
            if let Received::Message(message) = self.next() {
                assert_eq!(message, json!({"act": "suicide"}));
                return;
            }
        }
    }

    pub fn send(&mut self, message: Value) {
        self.channel.send(&message).expect("to send");
    }

    /// Passes a connection to the worker, and returns the client's end.
    #[track_caller]
    pub fn pass(&mut self) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let addr = listener.local_addr().expect("its address");
        let client = TcpStream::connect(addr).expect("to connect");
        let (stream, _) = listener.accept().expect("the connection");
        let message = json!({"act": "connection"});
        let sent = self.channel.send_handle("net.Socket", message, stream.into());
        sent.expect("to send");
        client
    }
}
