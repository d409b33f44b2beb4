//! A cluster in a `main` that fits on a slide.

use std::{net::TcpListener, process, process::ExitCode};

use ch05_restart::{Handler, Request, Response};
use ch07_cluster::{MAX_CONNECTIONS, Primary, Sharing, is_primary, serve};

fn main() -> anyhow::Result<ExitCode> {
    if !is_primary() {
        return serve(Hello, MAX_CONNECTIONS);
    }
    let listener = TcpListener::bind("127.0.0.1:1337")?;
    let mut primary = Primary::new(listener, Sharing::RoundRobin);
    primary.fork();
    primary.fork();
    primary.run()
}

/// Answers every request with the process id.
struct Hello;

impl Handler for Hello {
    fn handle(&mut self, _request: &Request) -> Response {
        Response::text("200 OK", format!("hello from {}\n", process::id()))
    }
}
