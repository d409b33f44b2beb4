//! What `/proc` says about a server's processes.

use std::{collections::HashSet, time::Duration};

use procfs::{
    net::{TcpState, tcp},
    process::{FDTarget, Process as Proc},
};
use testkit::{Running, cpu_time};

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

/// How many open connections a process has on `port`: those whose end the client has
/// not been told.
pub fn connections(pid: i32, port: u16) -> usize {
    let Ok(files) = Proc::new(pid).and_then(|it| it.fd()) else { return 0 };
    let own: HashSet<u64> = files
        .filter_map(|file| match file.ok()?.target {
            FDTarget::Socket(inode) => Some(inode),
            _ => None,
        })
        .collect();
    let is_open =
        |state| matches!(state, TcpState::Established | TcpState::CloseWait);
    let entries = tcp().unwrap_or_default().into_iter();
    entries
        .filter(|it| it.local_address.port() == port && is_open(it.state.clone()))
        .filter(|it| own.contains(&it.inode))
        .count()
}
