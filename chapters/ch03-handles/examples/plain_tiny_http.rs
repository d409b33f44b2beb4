//! A web server on tiny_http alone, to see what it gets wrong.

use std::env;
use std::error::Error;

use tiny_http::{Response, Server};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let address = env::args().nth(1).unwrap_or("127.0.0.1:1337".to_owned());
    let server = Server::http(address)?;
    println!("listening on http://{}", server.server_addr());
    for request in server.incoming_requests() {
        let _ = request.respond(Response::from_string("hello\n"));
    }
    Err("tiny_http accepts no more".into())
}
