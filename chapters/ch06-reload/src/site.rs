// ANCHOR: top
//! What the server answers: a greeting, the static files, and the state of all
//! workers.

use std::{
    io, process, thread,
    time::{Duration, Instant},
};

use ch05_restart::{Handler, Request, Response};
use serde_json::Value;

use crate::{Config, Files};
// ANCHOR_END: top

// ANCHOR: fields
/// The handler of a worker.
pub struct Site {
    greeting: String,
    files: Option<Files>,
    demo: bool,
    requests: u64,
    /// The state of all workers, as the master has sent it last.
    state: Option<Value>,
}
// ANCHOR_END: fields

impl Site {
    // ANCHOR: new
    /// Reads the static files. `demo`: paths with which a worker can be made to fail.
    ///
    /// # Errors
    /// Those of [`Files::read`].
    pub fn new(config: &Config, demo: bool) -> io::Result<Site> {
        let files = config.folder.as_deref().map(Files::read).transpose()?;
        let greeting = config.greeting.clone();
        Ok(Site { greeting, files, demo, requests: 0, state: None })
    }

    /// How many requests have been answered.
    pub fn requests(&self) -> u64 {
        self.requests
    }
    // ANCHOR_END: new

    // ANCHOR: demo
    /// `/busy/MILLISECONDS` works for so long, `/loop` for ever, `/panic` panics,
    /// `/abort` kills the worker.
    fn misbehave(&self, path: &str) -> Option<Response> {
        let time = match path.split_once("/busy/") {
            Some(("", milliseconds)) => milliseconds.parse().ok()?,
            _ if path == "/loop" => u64::MAX,
            _ if path == "/panic" => panic!("on purpose (--demo)"),
            _ if path == "/abort" => process::abort(),
            _ => return None,
        };
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(time) {
            thread::sleep(Duration::from_millis(time.min(10)));
        }
        Some(Response::text("200 OK", format!("busy for {time} ms\n")))
    }
    // ANCHOR_END: demo
}

// ANCHOR: handler
impl Handler for Site {
    fn handle(&mut self, request: &Request) -> Response {
        if !matches!(&*request.method, "GET" | "HEAD") {
            return Response::new("405 Method Not Allowed");
        }
        let path = request.path.split('?').next().unwrap_or_default();
        if path == "/workers" {
            return self.workers();
        }
        if let Some(response) = self.demo.then(|| self.misbehave(path)).flatten() {
            return response;
        }
        match &self.files {
            None if path == "/" => {
                Response::text("200 OK", format!("{}\n", self.greeting))
            }
            None => Response::new("404 Not Found"),
            Some(files) => match files.get(path) {
                Some(file) => Response {
                    status: "200 OK",
                    content_type: file.content_type,
                    body: file.bytes.clone(),
                },
                None if path == "/" => {
                    Response::text("200 OK", format!("{}\n", self.greeting))
                }
                None => Response::new("404 Not Found"),
            },
        }
    }

    fn answered(&mut self) {
        self.requests += 1;
    }

    fn on_message(&mut self, message: &Value) {
        if message["act"] == "state" {
            self.state = Some(message["state"].clone());
        }
    }
}
// ANCHOR_END: handler

// ANCHOR: workers
impl Site {
    /// The state of all workers. What this worker knows of itself is newer than what
    /// the master knows of it.
    fn workers(&self) -> Response {
        let Some(mut state) = self.state.clone() else {
            return Response::new("503 Service Unavailable");
        };
        let workers = state["workers"].as_array_mut().into_iter().flatten();
        for worker in workers.filter(|worker| worker["pid"] == process::id()) {
            worker["requests"] = self.requests.into();
        }
        Response {
            status: "200 OK",
            content_type: "application/json",
            body: format!("{state}\n").into(),
        }
    }
}
// ANCHOR_END: workers
