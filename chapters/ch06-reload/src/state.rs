// ANCHOR: top
//! The state of all workers as one JSON value: for `GET /workers` and SIGUSR1.

use std::{collections::BTreeMap, fs, time::Instant};

use ch04_events::Id;
use nix::unistd::{Pid, SysconfVar, sysconf};
use serde_json::{Value, json};

use crate::{Member, Rollout, Stage};
// ANCHOR_END: top

// ANCHOR: state_json
/// The state of all workers. `requests` has the number of requests that a worker has
/// answered; a worker that gives no signs of life has none.
///
/// ```json
/// {"master":100,"generation":2,"wanted":2,"workers":[
///   {"pid":101,"state":"ready","generation":2,"age":7.3,"requests":5,"memory":2310144}
/// ]}
/// ```
///
/// `age` is in seconds, `memory` in bytes. `state` is `starting`, `ready`, or
/// `retiring`: it accepts no more, and answers its open connections.
pub fn state_json(
    now: Instant,
    rollout: &Rollout,
    requests: &BTreeMap<Id, u64>,
    pid: impl Fn(Id) -> Option<Pid>,
) -> Value {
    let worker = |(&id, member): (&Id, &Member)| {
        let pid = pid(id)?;
        Some(json!({
            "pid": pid.as_raw(),
            "state": match member.stage {
                Stage::Starting => "starting",
                Stage::Ready(_) => "ready",
                Stage::Draining => "retiring",
            },
            "generation": member.generation,
            "age": to_tenth(now.duration_since(member.started).as_secs_f64()),
            "requests": requests.get(&id),
            "memory": memory(pid),
        }))
    };
    let workers: Vec<Value> = rollout.members().iter().filter_map(worker).collect();
    json!({
        "master": Pid::this().as_raw(),
        "generation": rollout.generation(),
        "wanted": rollout.wanted(),
        "workers": workers,
    })
}
// ANCHOR_END: state_json

// ANCHOR: to_tenth
/// Rounds to a tenth.
pub(crate) fn to_tenth(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}
// ANCHOR_END: to_tenth

// ANCHOR: memory
/// The memory of a process that is in RAM, in bytes (proc(5), `statm`). `None` where
/// the system does not say.
fn memory(pid: Pid) -> Option<u64> {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    let page_size = sysconf(SysconfVar::PAGE_SIZE).ok()??;
    Some(pages * page_size as u64)
}
// ANCHOR_END: memory
