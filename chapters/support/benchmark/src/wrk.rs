//! The client that is fast enough: wrk.

use std::{net::SocketAddr, path::Path, process::Command};

use anyhow::{Context as _, bail, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike as _,
};

/// How wrk uses its connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One connection for many requests.
    KeepAlive,
    /// A connection for each request.
    Close,
}

/// What wrk has seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Requests that were answered.
    pub requests: f64,
    /// …and in a second.
    pub per_second: f64,
    /// Of 100 requests, 50, 99 and 99.9 took no longer than this, in microseconds.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// The CPU time that wrk itself used, in percent of the time: at 100, one CPU was
    /// busy with it.
    pub cpu: f64,
    /// Connections and requests that failed, and answers other than 2xx and 3xx.
    pub errors: f64,
}

/// Runs wrk: its threads have `connections` connections together, each with one
/// request at a time. Blocks for `seconds`.
///
/// # Errors
/// If wrk cannot be started, fails, or no request is answered.
pub fn wrk(
    script: &Path,
    addr: SocketAddr,
    mode: Mode,
    (threads, connections): (usize, usize),
    seconds: u64,
) -> anyhow::Result<Seen> {
    let mut command = Command::new("wrk");
    let threads = threads.min(connections);
    command.args([format!("-t{threads}"), format!("-c{connections}")]);
    command.arg(format!("-d{seconds}s"));
    command.args(["--timeout", "10s", "-s"]).arg(script);
    if mode == Mode::Close {
        command.args(["-H", "Connection: close"]);
    }
    command.arg(format!("http://{addr}/"));
    let before = cpu_of_children()?;
    let output = command.output().context("wrk")?;
    let used = cpu_of_children()? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let seen =
        text.lines().find_map(|it| it.strip_prefix("result ")).and_then(parse);
    let Some(seen) = seen.filter(|_| output.status.success()) else {
        bail!("wrk failed: {}{text}", String::from_utf8_lossy(&output.stderr));
    };
    ensure!(seen.requests > 0.0, "wrk: no request was answered by {addr}");
    let time = seen.requests / seen.per_second;
    Ok(Seen { cpu: 100.0 * used / time, ..seen })
}

/// The CPU time of all children that this process has waited for, in seconds.
fn cpu_of_children() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).context("getrusage")?;
    let times = [usage.user_time(), usage.system_time()];
    Ok(times.iter().map(|it| it.num_microseconds() as f64 / 1e6).sum())
}

/// The line that `report.lua` prints.
fn parse(line: &str) -> Option<Seen> {
    let numbers: Vec<f64> =
        line.split(' ').map(|it| it.parse().ok()).collect::<Option<_>>()?;
    let [requests, microseconds, p50, p99, p999, errors] = numbers[..] else {
        return None;
    };
    let per_second = requests * 1e6 / microseconds;
    Some(Seen { requests, per_second, p50, p99, p999, cpu: 0.0, errors })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_the_script_is_understood() {
        let seen = parse("4000 2000000 310 900 1500 2").expect("six numbers");
        assert_eq!((seen.per_second, seen.p99, seen.errors), (2000.0, 900.0, 2.0));
        assert_eq!(parse("4000 2000000 310"), None);
        assert_eq!(parse("4000 2000000 310 900 1500 nan?"), None);
    }
}
