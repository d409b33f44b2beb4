//! What the tests share.

#![allow(dead_code)] // Each test program uses a part of this.

use std::any::Any;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use testkit::Program;

/// A program in a line of shell.
pub fn sh(script: &str) -> Program {
    Program::new("sh").args(["-c", script])
}

/// The message of a call that panics.
#[track_caller]
pub fn panic_of<T>(call: impl FnOnce() -> T) -> String {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(_) => panic!("that should have panicked"),
        Err(payload) => text_of(payload),
    }
}

fn text_of(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => payload.downcast_ref::<&str>().expect("a text").to_string(),
    }
}

/// A server of a few lines: `serve` gets each connection, with its number from 1
/// on, on a thread of its own.
pub fn server(
    serve: impl Fn(u64, TcpStream) + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let addr = listener.local_addr().expect("an address");
    let serve: &'static _ = Box::leak(Box::new(serve));
    thread::spawn(move || {
        for number in 1.. {
            let (stream, _) = listener.accept().expect("a connection");
            thread::spawn(move || serve(number, stream));
        }
    });
    addr
}

/// Reads a request from each connection, writes the same bytes, and closes.
pub fn replying(bytes: &'static str) -> SocketAddr {
    server(move |_, mut stream| {
        if read_request(&mut stream) {
            let _ = stream.write_all(bytes.as_bytes());
        }
    })
}

/// Reads one request; `false` at EOF.
pub fn read_request(stream: &mut TcpStream) -> bool {
    let mut seen = Vec::new();
    let mut byte = [0];
    while !seen.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => seen.push(byte[0]),
            _ => return false,
        }
    }
    true
}
