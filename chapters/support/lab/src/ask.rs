//! Requests that the lab sends to the program.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// A request that has no answer after this time is lost. Until then, it waits: the
/// server may be stopped, so that one can look at it.
const LIMIT: Duration = Duration::from_secs(60);

/// So much of a response is read.
const MAX_RESPONSE: u64 = 1 << 20;

/// So much of its last line is kept.
const MAX_LINE: usize = 120;

/// Sends `GET /` over a connection of its own, and returns the last line of the response.
/// `on_connected` gets the client's port first.
///
/// # Errors
/// In words: why there is no answer.
pub fn ask(
    to: SocketAddr,
    on_connected: impl FnOnce(u16),
) -> Result<String, String> {
    let mut connection = TcpStream::connect_timeout(&to, LIMIT).map_err(why)?;
    on_connected(connection.local_addr().map_err(why)?.port());
    connection.set_read_timeout(Some(LIMIT)).map_err(why)?;
    let request =
        format!("GET / HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\n\r\n");
    // If it cannot be written, perhaps the answer is there already.
    let _ = connection.write_all(request.as_bytes());
    let mut response = Vec::new();
    let result = connection.take(MAX_RESPONSE).read_to_end(&mut response);
    match result {
        _ if !response.is_empty() => Ok(last_line(&response)),
        Ok(_) => Err("the connection was closed without an answer".to_owned()),
        Err(error) => Err(why(error)),
    }
}

fn last_line(response: &[u8]) -> String {
    let text = String::from_utf8_lossy(response);
    text.lines().last().unwrap_or_default().chars().take(MAX_LINE).collect()
}

fn why(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            "refused: no process listens there".to_owned()
        }
        io::ErrorKind::ConnectionReset => "the connection was reset".to_owned(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer in {} s", LIMIT.as_secs())
        }
        _ => error.to_string(),
    }
}
