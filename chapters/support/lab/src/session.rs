//! A program that runs, or has run, in the lab: its events, and what can be done to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::sys::signal::Signal;

use crate::{
    ask::ask,
    event::{Event, Kind, Level, Limit, Object, ObjectId, What},
    listener::address_of,
    model::Model,
    pidfd::PidFd,
    recording,
    trace::{Output, Trace},
    warden::{children, descendants},
};

/// A crash loop would fill the memory. After so many events, a call that changes nothing
/// is not kept…
pub const MANY_EVENTS: usize = 60_000;

/// …and after so many, no event is.
pub const MAX_EVENTS: usize = 240_000;

/// The lab sends at most so many requests at the same time.
const MAX_AT_ONCE: u64 = 1000;

/// A thread that sends requests needs little.
const STACK: usize = 128 << 10;

/// What all threads share.
#[derive(Debug, Default)]
pub struct Session {
    state: Mutex<State>,
    more: Condvar,
    next_request: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    /// A line of JSON for each event.
    events: Vec<String>,
    /// The first process of the program.
    first: Option<i32>,
    /// Processes that have not exited.
    alive: BTreeSet<i32>,
    /// Listeners that are open, the newest last.
    listeners: BTreeMap<ObjectId, Object>,
    /// What the lab has done, until the lines of strace have come so far.
    own: Vec<Own>,
    has_ended: bool,
    limit: Limit,
}

/// Something that the lab has done.
#[derive(Debug)]
struct Own {
    /// Seconds since 1970, as strace counts.
    time: f64,
    level: Level,
    what: What,
}

/// The answers to a number of requests.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// How many have an answer.
    pub answered: u64,
    /// How many have none.
    pub lost: u64,
}

impl Session {
    /// The events of a recording.
    pub fn recorded(events: Vec<Event>) -> Session {
        let session = Session::default();
        session.publish(events);
        session.lock().has_ended = true;
        session
    }

    /// Takes the lines of strace until nothing of the program is left.
    pub fn follow(&self, mut trace: Trace) {
        let mut model = Model::new();
        loop {
            match trace.read() {
                Ok(Output::Line(line)) => {
                    if let Some(time) = time_of(&line) {
                        self.take_own(&mut model, time);
                    }
                    model.line(&line);
                }
                Ok(Output::Partial(line)) => model.partial(&line),
                Ok(Output::Quiet) => self.take_own(&mut model, f64::MAX),
                Ok(Output::End) | Err(_) => break,
            }
            self.publish(model.take_events());
        }
        // If it fails, there is nothing to wait for.
        let _ = trace.end();
        self.take_own(&mut model, f64::MAX);
        model.end(now());
        self.publish(model.take_events());
        let mut state = self.lock();
        state.has_ended = true;
        state.alive.clear();
        self.more.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the model what the lab did before `time`.
    fn take_own(&self, model: &mut Model, time: f64) {
        let mut state = self.lock();
        if state.own.is_empty() {
            return;
        }
        state.own.sort_by(|one, other| one.time.total_cmp(&other.time));
        let count = state.own.partition_point(|own| own.time <= time);
        for Own { time, level, what } in state.own.drain(..count) {
            model.own(time, level, what);
        }
    }

    fn publish(&self, events: Vec<Event>) {
        if events.is_empty() {
            return;
        }
        let mut state = self.lock();
        for event in events {
            state.note(&event);
            state.keep(event);
        }
        self.more.notify_all();
    }

    /// The events from a number on, a line for each; waits for the first of them. Empty:
    /// none has come within `limit`.
    pub fn events(&self, from: usize, most: usize, limit: Duration) -> String {
        let state = self.lock();
        let is_waiting =
            |state: &mut State| state.events.len() <= from && !state.has_ended;
        let waited = self.more.wait_timeout_while(state, limit, is_waiting);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let end = state.events.len().min(from.saturating_add(most));
        state.events.get(from..end).unwrap_or_default().concat()
    }

    /// Sends a signal to a process of the program.
    ///
    /// # Errors
    /// In words: there is no such process in the program.
    pub fn signal(
        &self,
        warden: i32,
        pid: i32,
        signal: Signal,
    ) -> Result<(), String> {
        let none = || format!("the program has no process {pid}");
        // Open first: if the number is used again before the check, the signal fails.
        let process = PidFd::open(pid).map_err(|_| none())?;
        let is_known = self.lock().alive.contains(&pid);
        if !is_known || !descendants(warden).contains(&pid) {
            return Err(none());
        }
        let what = What::Signalled { to: pid, signal: signal.to_string() };
        self.lock().own.push(Own { time: now(), level: Level::Life, what });
        process
            .signal(signal)
            .map_err(|error| format!("{signal} to {pid}: {error}"))
    }

    /// Sends SIGTERM to the first process. If that has ended, as a master does after an
    /// upgrade, to those whose parents have ended: the warden has inherited them.
    pub fn end_program(&self, warden: i32) {
        let state = self.lock();
        let first = state.first.filter(|it| state.alive.contains(it));
        drop(state);
        for pid in first.map_or_else(|| children(warden), |it| vec![it]) {
            // It may have ended by itself; and strace is none of them.
            let _ = self.signal(warden, pid, Signal::SIGTERM);
        }
    }

    /// Sends requests to the newest listener, and counts the answers.
    ///
    /// # Errors
    /// In words: no process listens.
    pub fn ask(&self, count: u64, at_once: bool) -> Result<Tally, String> {
        let to = self.lock().listeners.values().rev().find_map(address_of);
        let to = to.ok_or("no process of the program listens on a TCP port")?;
        let left = AtomicU64::new(count);
        let threads = if at_once { count.min(MAX_AT_ONCE) } else { 1 };
        let is_left = || {
            let take = |left: u64| left.checked_sub(1);
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
        };
        let run = || {
            let mut tally = Tally::default();
            while is_left() {
                match self.ask_once(to) {
                    true => tally.answered += 1,
                    false => tally.lost += 1,
                }
            }
            tally
        };
        let tallies: Vec<Tally> = thread::scope(|scope| {
            let spawn = |_| {
                let thread = thread::Builder::new().stack_size(STACK);
                thread.spawn_scoped(scope, run).ok()
            };
            // If there are no more threads, those that run send all the requests.
            let others: Vec<_> = (1..threads).map_while(spawn).collect();
            let own = run();
            let others = others.into_iter().map(|it| it.join().unwrap_or_default());
            others.chain([own]).collect()
        });
        Ok(tallies.iter().fold(Tally::default(), |sum, it| Tally {
            answered: sum.answered + it.answered,
            lost: sum.lost + it.lost,
        }))
    }

    fn ask_once(&self, to: SocketAddr) -> bool {
        let request = 1 + self.next_request.fetch_add(1, Ordering::Relaxed);
        let add =
            |time, level, what| self.lock().own.push(Own { time, level, what });
        let began = (Instant::now(), now());
        let answer = ask(to, |port| {
            add(began.1, Level::Story, What::Asked { request, port });
        });
        match answer {
            Ok(text) => {
                let milliseconds = began.0.elapsed().as_secs_f64() * 1e3;
                let what = What::Answered { request, milliseconds, text };
                add(now(), Level::Calls, what);
                true
            }
            Err(why) => {
                add(now(), Level::Life, What::Lost { request, why });
                false
            }
        }
    }

    /// Whether the program has ended.
    pub fn has_ended(&self) -> bool {
        self.lock().has_ended
    }
}

impl State {
    /// Keeps an event, unless there are too many. The first time, it says so.
    fn keep(&mut self, event: Event) {
        let is_end = matches!(event.what, What::End { .. });
        let is_full = self.events.len() >= MAX_EVENTS && !is_end;
        let is_many = self.events.len() >= MANY_EVENTS;
        if is_full || (is_many && is_detail(&event)) {
            let limit = if is_full { Limit::All } else { Limit::Details };
            if self.limit < limit {
                self.limit = limit;
                let events = self.events.len() as u64;
                self.push(Event {
                    level: Level::Life,
                    ..event.plain(What::Limit { events, limit })
                });
            }
        } else {
            self.push(event);
        }
    }

    fn push(&mut self, event: Event) {
        let event = Event { number: self.events.len() as u64, ..event };
        let mut line = Vec::new();
        if recording::write(&mut line, &event).is_ok() {
            self.events.push(String::from_utf8_lossy(&line).into_owned());
        }
    }

    /// Notes what is needed for signals and requests.
    fn note(&mut self, event: &Event) {
        match event.what {
            What::Fork { child } => {
                self.alive.insert(child);
            }
            What::Exit(_) => {
                self.alive.remove(&event.pid);
            }
            What::Exec { .. } => {
                self.first.get_or_insert(event.pid);
                self.alive.insert(event.pid);
            }
            _ => {}
        }
        let listeners = event.objects.iter().filter(|it| it.kind == Kind::Listener);
        self.listeners.extend(listeners.map(|it| (it.id, it.clone())));
        for id in &event.gone {
            self.listeners.remove(id);
        }
    }
}

/// Whether a process does something that changes nothing that the page shows.
fn is_detail(event: &Event) -> bool {
    let is_plain = event.objects.is_empty()
        && event.changes.is_empty()
        && event.gone.is_empty();
    event.level >= Level::Calls && is_plain && event.pid != 0
}

/// The time of a line of strace.
fn time_of(line: &str) -> Option<f64> {
    line.split_whitespace().nth(1)?.parse().ok()
}

fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0.0, |it| it.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends `count` events, the same again and again.
    fn publish(session: &Session, count: usize, level: Level, what: &What) {
        let event = Event {
            number: 0,
            time: 0.0,
            pid: 7,
            thread: None,
            level,
            what: what.clone(),
            objects: Vec::new(),
            changes: Vec::new(),
            gone: Vec::new(),
            raw: String::new(),
        };
        session.publish(vec![event; count]);
    }

    fn count(session: &Session) -> usize {
        session.lock().events.len()
    }

    #[test]
    fn an_endless_program_does_not_fill_the_memory() {
        let session = Session::default();
        let (fork, other) = (What::Fork { child: 8 }, What::Other);
        publish(&session, MANY_EVENTS + 10, Level::All, &other);
        // One more says that no more are kept.
        assert_eq!(count(&session), MANY_EVENTS + 1);
        publish(&session, 1, Level::Life, &fork);
        assert_eq!(count(&session), MANY_EVENTS + 2);
        publish(&session, MAX_EVENTS, Level::Life, &fork);
        assert_eq!(count(&session), MAX_EVENTS + 1);
        publish(&session, 1, Level::Life, &What::End { lines: 1, odd: 0 });
        assert_eq!(count(&session), MAX_EVENTS + 2);

        let lines = session.events(0, usize::MAX, Duration::ZERO);
        let numbers = lines.lines().map(|line| {
            let event: Event = serde_json::from_str(line).expect("an event");
            event.number
        });
        assert!(numbers.eq(0..count(&session) as u64), "numbers have no gaps");
        assert_eq!(lines.matches(r#""kind":"limit""#).count(), 2);
    }
}
