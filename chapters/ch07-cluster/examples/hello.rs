//! A cluster in a `main` that fits on a slide.

use std::{
    env,
    net::TcpListener,
    process::{self, ExitCode},
};

use ch05_restart::{Handler, Request, Response};
use ch07_cluster::{MAX_CONNECTIONS, Primary, Sharing, is_primary, serve};

fn main() -> anyhow::Result<ExitCode> {
    if !is_primary() {
        return serve(Hello, MAX_CONNECTIONS);
    }
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let listener = TcpListener::bind(address)?;
    println!("listening on http://{}", listener.local_addr()?);
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
