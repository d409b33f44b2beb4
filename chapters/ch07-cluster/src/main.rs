//! A cluster in one call.
use ch05_restart::{Handler, Request, Response};
use std::process::{self, ExitCode};
fn main() -> ExitCode {
    match ch07_cluster::serve(Greeter, ch07_cluster::MAX_CONNECTIONS) {
        Ok(c) => c,
        Err(e) => {
            eprintln!("{e:#}");
            ExitCode::FAILURE
        }
    }
}
struct Greeter;
impl Handler for Greeter {
    fn handle(&mut self, _request: &Request) -> Response {
        Response::text(
            "200 OK",
            format!("handled by child, pid is {}\n", process::id()),
        )
    }
}
