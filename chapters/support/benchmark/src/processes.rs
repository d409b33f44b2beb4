//! What `/proc` says about a server's processes.

use std::time::Duration;

use procfs::process::Process as Proc;
use testkit::{Running, cpu_time, fds};

/// The CPU time that all processes of a server have used so far. It has steps of a
/// clock tick, usually 10 ms.
pub fn cpu_of(running: &Running) -> Duration {
    running.processes().iter().map(|it| cpu_time(it.pid)).sum()
}

/// The memory of each worker of a server in MB, the mean: its proportional set size
/// (PSS in proc(5)), in which a page that n processes share counts as 1/n.
pub fn worker_memory(running: &Running) -> f64 {
    let workers = running.children();
    let bytes = workers.iter().map(|it| memory(it.pid).unwrap_or(f64::NAN));
    bytes.sum::<f64>() / workers.len() as f64 / 1e6
}

fn memory(pid: i32) -> Option<f64> {
    let rollup = Proc::new(pid).ok()?.smaps_rollup().ok()?;
    let total = rollup.memory_map_rollup.into_iter().next()?;
    total.extension.map.get("Pss").map(|&bytes| bytes as f64)
}

/// How many sockets a process has open.
pub fn sockets(pid: i32) -> usize {
    fds(pid).iter().filter(|(_, target)| target.starts_with("socket:")).count()
}
