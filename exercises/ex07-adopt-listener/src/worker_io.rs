//! Given: what happens on a connection that you have accepted.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;
use std::{env, process, thread};

/// How long a client may send nothing.
const SILENCE: Duration = Duration::from_secs(10);

/// The longest head of a request, in bytes.
const MOST_BYTES: u64 = 16 << 10;

/// Reads a request from `connection` and responds with `NAME, process PID` and a
/// newline, in a thread of its own: a slow client keeps no other client waiting.
#[allow(dead_code, reason = "the stub does not use it")]
pub fn respond(connection: TcpStream, name: &str) {
    let body = format!("{name}, process {}\n", process::id());
    // An error here is a client that has gone, or a limit on threads.
    let _ = thread::Builder::new().spawn(move || exchange(connection, &body));
    pause_in_a_test();
}

/// One test makes `respond` slow. A lot can happen between poll(2) and the
/// accept(2) for the second listener that it has reported.
fn pause_in_a_test() {
    let pause =
        env::var("RESPOND_PAUSE_MS").ok().and_then(|text| text.parse().ok());
    thread::sleep(Duration::from_millis(pause.unwrap_or(0)));
}

fn exchange(connection: TcpStream, body: &str) -> io::Result<()> {
    connection.set_read_timeout(Some(SILENCE))?;
    connection.set_write_timeout(Some(SILENCE))?;
    let mut head = Vec::new();
    let mut input = (&connection).take(MOST_BYTES);
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if input.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.extend(byte);
    }
    let length = body.len();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\
         Connection: close\r\n\r\n{body}"
    );
    (&connection).write_all(response.as_bytes())?;
    connection.shutdown(Shutdown::Write)?;
    // To close with unread bytes would reset the connection (chapter 2).
    io::copy(&mut input, &mut io::sink()).map(drop)
}
