//! Given: a script that plays a loop with connections, and a measurement.

#![allow(dead_code)] // The stub uses none of it yet.

use std::io::{self, BufRead as _, Write as _};
use std::process;
use std::time::{Duration, Instant};

use crate::solution::Timers;

const USAGE: &str = "\
usage, on standard input:
  new                      new timers, at 0 ms
  MS set CONNECTION AFTER  at MS milliseconds: this connection times out AFTER milliseconds later
  MS cancel CONNECTION     this connection has no time-out any more
  MS ask                   print which connections have timed out
  MS next                  print when the loop must look
  MS loop UNTIL            a loop that looks whenever it must, and prints what it finds
  measure CONNECTIONS N    so many connections, N times set: print how long one took, and the memory";

/// Reads to the end of standard input.
pub fn run() {
    let mut timers = None;
    for line in io::stdin().lock().lines() {
        let line = line.expect("text on standard input");
        let words: Vec<&str> = line.split_whitespace().collect();
        match (&mut timers, &*words) {
            (timers, ["new"]) => {
                *timers = Some(Timers::new());
                tell("new");
            }
            (_, ["measure", connections, times]) => {
                measure(number(connections), number(times));
            }
            (Some(timers), [now, "set", connection, after]) => {
                timers.set(ms(now), number(connection), ms(after));
            }
            (Some(timers), [_, "cancel", connection]) => {
                timers.cancel(number(connection));
            }
            (Some(timers), [now, "ask"]) => {
                let found = timers.expired(ms(now));
                tell(&format!("{now} timed out: {}", in_words(&found)));
            }
            (Some(timers), [now, "next"]) => {
                let next = timers.next().map(|at| at.as_millis().to_string());
                let next = next.unwrap_or_else(|| "none".to_owned());
                tell(&format!("{now} next: {next}"));
            }
            (Some(timers), [now, "loop", until]) => {
                watch(timers, ms(now), ms(until));
            }
            _ => refuse(&line),
        }
    }
}

/// A loop in which nothing happens but time-outs.
fn watch(timers: &mut Timers, mut now: Duration, until: Duration) {
    let (mut looks, mut found) = (0, Vec::new());
    loop {
        let next = timers.next().unwrap_or(until).max(now);
        if next >= until {
            break;
        }
        now = next;
        looks += 1;
        if looks > 1000 {
            return tell("the loop looks again and again, and finds nothing");
        }
        for connection in timers.expired(now) {
            found.push(format!("{connection} at {}", now.as_millis()));
        }
        // poll(2) waits for a millisecond at least.
        now += Duration::from_millis(1);
    }
    tell(&format!("looks: {looks}, timed out: {}", found.join(", ")));
}

/// Connections with requests all the time.
fn measure(connections: u32, times: u32) {
    let mut timers = Timers::new();
    let minute = Duration::from_secs(60);
    for connection in 0..connections {
        timers.set(Duration::ZERO, connection, minute);
    }
    let before = memory();
    let began = Instant::now();
    for time in 0..times {
        let now = Duration::from_micros(u64::from(time));
        timers.set(now, time.wrapping_mul(7919) % connections, minute);
        if time % 1024 == 0 {
            let _ = timers.expired(now);
        }
    }
    let each = began.elapsed().as_nanos() / u128::from(times);
    let grown = memory().saturating_sub(before);
    tell(&format!("{each} ns each, {grown} KiB more"));
}

/// How much memory this process uses, in KiB (proc_pid_status(5)).
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn in_words(connections: &[u32]) -> String {
    let words: Vec<String> = connections.iter().map(ToString::to_string).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(" ") }
}

fn ms(word: &str) -> Duration {
    Duration::from_millis(number(word))
}

fn number<T: std::str::FromStr>(word: &str) -> T {
    word.parse().unwrap_or_else(|_| refuse(word))
}

fn tell(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn refuse(what: &str) -> ! {
    eprintln!("not understood: {what}\n{USAGE}");
    process::exit(2)
}
