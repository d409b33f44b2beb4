//! The page and what it asks for, over HTTP on 127.0.0.1.

use std::{
    io::{Read, Write},
    net::SocketAddr,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::Context;
use nix::sys::signal::Signal;
use serde::Deserialize;
use tiny_http::{Method, Request, Server, StatusCode};

use crate::{
    guard::{Claims, Guard, TOKEN_HEADER},
    recording::Head,
    session::Session,
};

/// Requests that are answered at the same time: one may wait for events, another ask.
const THREADS: usize = 8;

/// So many bytes of a request's body are read.
const MAX_BODY: u64 = 1 << 16;

/// So many events are in one response.
const MAX_EVENTS: usize = 4000;

/// A response without events is sent after this time.
const WAIT: Duration = Duration::from_secs(5);

/// The most requests that the page can have sent at once.
const MAX_REQUESTS: u64 = 1000;

/// The files of the page.
const FILES: [(&str, &str, &str); 9] = [
    ("/", "text/html", include_str!("../page/page.html")),
    ("/style.css", "text/css", include_str!("../page/style.css")),
    ("/moment.js", SCRIPT, include_str!("../page/moment.js")),
    ("/facts.js", SCRIPT, include_str!("../page/facts.js")),
    ("/words.js", SCRIPT, include_str!("../page/words.js")),
    ("/rows.js", SCRIPT, include_str!("../page/rows.js")),
    ("/draw.js", SCRIPT, include_str!("../page/draw.js")),
    ("/panels.js", SCRIPT, include_str!("../page/panels.js")),
    ("/page.js", SCRIPT, include_str!("../page/page.js")),
];
const SCRIPT: &str = "text/javascript";

/// What a page may do: run the lab's own scripts, and talk to the lab. No other page may
/// show it in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the page shows.
#[derive(Debug)]
pub struct Lab {
    /// The program.
    pub head: Head,
    /// Its events.
    pub session: Session,
    /// The process below which the program runs; `None`: a recording.
    pub warden: Option<i32>,
}

/// Serves the page in threads of its own, and returns its address.
///
/// # Errors
/// The port is taken; `/dev/urandom`.
pub fn serve(lab: Arc<Lab>, port: u16) -> anyhow::Result<String> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let server = Server::http(address).map_err(|error| anyhow::anyhow!(error));
    let server = server.with_context(|| format!("cannot listen on {address}"))?;
    let address =
        server.server_addr().to_ip().context("the listener has no port")?;
    let guard = Guard::new(address).context("cannot make a token")?;
    let page = guard.address();
    let shared = Arc::new((server, guard, lab));
    for _ in 0..THREADS {
        let shared = Arc::clone(&shared);
        thread::spawn(move || {
            let (server, guard, lab) = &*shared;
            while let Ok(request) = server.recv() {
                answer(guard, lab, request);
            }
        });
    }
    Ok(page)
}

/// What is sent back: a status, the type, and the text.
type Answer = (u16, &'static str, String);

fn answer(guard: &Guard, lab: &Lab, mut request: Request) {
    let (status, kind, text) = respond(guard, lab, &mut request);
    let reason = StatusCode(status).default_reason_phrase();
    let length = text.len();
    // tiny_http has a thread for each connection, and sometimes lets a new one wait until
    // another is closed. So none is kept open, and tiny_http has no way to say that.
    let head = format!(
        "HTTP/1.1 {status} {reason}\r\n\
         Connection: close\r\n\
         Content-Length: {length}\r\n\
         Content-Type: {kind}; charset=utf-8\r\n\
         Cache-Control: no-store\r\n\
         Content-Security-Policy: {POLICY}\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n\
         Referrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\n\
         X-Frame-Options: DENY\r\n\r\n"
    );
    let is_head = *request.method() == Method::Head;
    let mut writer = request.into_writer();
    // The browser may have gone.
    let body = if is_head { &[] } else { text.as_bytes() };
    let _ = writer
        .write_all(&[head.as_bytes(), body].concat())
        .and_then(|()| writer.flush());
}

fn respond(guard: &Guard, lab: &Lab, request: &mut Request) -> Answer {
    let url = request.url().to_owned();
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let parameter = |name: &str| {
        let mut pairs = query.split('&').filter_map(|it| it.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    // A browser sends no header of ours for the page and its files. The files are the
    // same for all; the page has the token in its address.
    let is_file = path != "/" && file(path).is_some();
    let token = header(request, TOKEN_HEADER).or_else(|| parameter("token"));
    let token = if is_file { Some(guard.token()) } else { token };
    let claims = Claims {
        host: header(request, "Host"),
        origin: header(request, "Origin"),
        token,
    };
    if let Err(why) = guard.check(claims) {
        return refuse(403, why);
    }
    let method = request.method().clone();
    match (&method, path) {
        (Method::Get, "/api/meta") => json(&serde_json::json!({
            "program": lab.head.program,
            "is_live": lab.warden.is_some(),
        })),
        (Method::Get, "/api/events") => {
            let from =
                parameter("from").and_then(|it| it.parse().ok()).unwrap_or(0);
            let events = lab.session.events(from, MAX_EVENTS, WAIT);
            (200, "application/x-ndjson", events)
        }
        (Method::Post, "/api/signal") => signal(lab, request),
        (Method::Post, "/api/ask") => ask(lab, request),
        (Method::Get, _) => match file(path) {
            Some((kind, text)) => (200, kind, text.to_owned()),
            None => refuse(404, "the lab has no such page"),
        },
        _ => refuse(405, "the lab does not take this method here"),
    }
}

fn file(path: &str) -> Option<(&'static str, &'static str)> {
    FILES
        .iter()
        .find(|(name, ..)| *name == path)
        .map(|(_, kind, text)| (*kind, *text))
}

fn header<'a>(request: &'a Request, name: &'static str) -> Option<&'a str> {
    let mut headers = request.headers().iter();
    headers.find(|it| it.field.equiv(name)).map(|it| it.value.as_str())
}

fn refuse(status: u16, why: &str) -> Answer {
    (status, "text/plain", format!("{why}\n"))
}

fn json(value: &impl serde::Serialize) -> Answer {
    match serde_json::to_string(value) {
        Ok(text) => (200, "application/json", text),
        Err(error) => refuse(500, &error.to_string()),
    }
}

/// The body of a request.
fn body<T: for<'a> Deserialize<'a>>(request: &mut Request) -> Result<T, Answer> {
    let mut text = Vec::new();
    let mut reader = request.as_reader().take(MAX_BODY);
    reader
        .read_to_end(&mut text)
        .map_err(|error| refuse(400, &error.to_string()))?;
    serde_json::from_slice(&text).map_err(|error| refuse(400, &error.to_string()))
}

#[derive(Deserialize)]
struct SignalBody {
    pid: i32,
    signal: String,
}

fn signal(lab: &Lab, request: &mut Request) -> Answer {
    let SignalBody { pid, signal } = match body(request) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    let Some(warden) = lab.warden else {
        return refuse(409, "this is a recording");
    };
    let Ok(signal) = signal.parse::<Signal>() else {
        return refuse(400, &format!("there is no signal '{signal}'"));
    };
    match lab.session.signal(warden, pid, signal) {
        Ok(()) => (200, "text/plain", String::new()),
        Err(why) => refuse(404, &why),
    }
}

#[derive(Deserialize)]
struct AskBody {
    count: u64,
    at_once: bool,
}

fn ask(lab: &Lab, request: &mut Request) -> Answer {
    let AskBody { count, at_once } = match body(request) {
        Ok(body) => body,
        Err(answer) => return answer,
    };
    if !(1..=MAX_REQUESTS).contains(&count) {
        return refuse(
            400,
            &format!("from 1 to {MAX_REQUESTS} requests, not {count}"),
        );
    }
    match lab.session.ask(count, at_once) {
        Ok(tally) => json(&tally),
        Err(why) => refuse(409, &why),
    }
}
