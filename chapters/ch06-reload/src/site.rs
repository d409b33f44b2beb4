// ANCHOR: top
//! What the server answers: a greeting, the static files, and the state of all
//! workers.

use std::{
    io, process, thread,
    time::{Duration, Instant},
};

use ch05_restart::{Handler, Request, Response};
use serde_json::Value;

use crate::{Config, Files, state::to_tenth};
// ANCHOR_END: top

// ANCHOR: fields
/// The handler of a worker.
pub struct Site {
    greeting: String,
    files: Option<Files>,
    demo: bool,
    requests: u64,
    /// The state of all workers, as the master has sent it last, and when it arrived.
    state: Option<(Value, Instant)>,
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
        let path = path_of(&request.path);
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
            self.state = Some((message["state"].clone(), Instant::now()));
        }
    }
}
// ANCHOR_END: handler

// ANCHOR: path_of
/// The path of a request's target, without the query. A server must take the form that
/// is for proxies, too: `http://example.com/path` (RFC 9112, 3.2.2).
fn path_of(target: &str) -> &str {
    let target = target.split('?').next().unwrap_or_default();
    match target
        .strip_prefix("http://")
        .map(|rest| rest.find('/').map(|at| &rest[at..]))
    {
        Some(path) => path.unwrap_or("/"),
        None => target,
    }
}
// ANCHOR_END: path_of

// ANCHOR: workers
impl Site {
    /// The state of all workers. The master sends it only if it has changed, so the
    /// ages are brought up to date here. The number of this worker's own requests is
    /// newer than what the master knows.
    fn workers(&self) -> Response {
        let Some((state, received)) = &self.state else {
            return Response::new("503 Service Unavailable");
        };
        let mut state = state.clone();
        for worker in state["workers"].as_array_mut().into_iter().flatten() {
            let age = worker["age"].as_f64().unwrap_or_default();
            worker["age"] = to_tenth(age + received.elapsed().as_secs_f64()).into();
            if worker["pid"] == process::id() {
                worker["requests"] = self.requests.into();
            }
        }
        Response {
            status: "200 OK",
            content_type: "application/json",
            body: format!("{state}\n").into(),
        }
    }
}
// ANCHOR_END: workers
