//! What the kernel does not limit.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::signal::Signal;
use nix::sys::time::TimeValLike as _;
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::limits::{MAX_OUTPUT, MAX_PROCESSES};
use crate::eventually::clean_up_eventually;
use crate::lock::lock;
use crate::process_tree::ProcessTree;
use crate::processes::{Process, Table};
use crate::spawn::FORKING;
use crate::time_limit;

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(50);

/// How long the kernel may take to end the processes that were sent SIGKILL.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Watches all sandboxed programs of this process.
#[derive(Default)]
struct Watchdog {
    trees: Mutex<Vec<Weak<ProcessTree>>>,
    /// The processes that we have started ourselves: our children, but no orphans,
    /// and the tests reap them.
    leaders: Mutex<HashSet<Process>>,
}

static WATCHDOG: OnceLock<Watchdog> = OnceLock::new();

/// Watches a program from now on. Called with [`FORKING`] locked, so that its
/// leader is never taken for an orphan.
pub(crate) fn watch(tree: &Arc<ProcessTree>) {
    let watchdog = WATCHDOG.get_or_init(|| {
        // Orphans become our children, not those of process 1.
        let _ = nix::sys::prctl::set_child_subreaper(true);
        thread::spawn(run);
        Watchdog::default()
    });
    lock(&watchdog.trees).push(Arc::downgrade(tree));
    lock(&watchdog.leaders).insert(tree.leader);
}

fn run() {
    let mut has_told = false;
    let (mut began, mut worked) = (Instant::now(), cpu_time());
    loop {
        thread::sleep(PAUSE);
        let Some(watchdog) = WATCHDOG.get() else { continue };
        watchdog.look();
        let (now, worked_now) = (Instant::now(), cpu_time());
        time_limit::count(now - began, PAUSE, worked_now.saturating_sub(worked));
        (began, worked) = (now, worked_now);
        if time_limit::is_up() && !has_told {
            has_told = true;
            tell_that_time_is_up();
        }
    }
}

/// The CPU time that this thread has used.
fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD);
    let times = usage.map(|it| [it.user_time(), it.system_time()]);
    let micros =
        times.map_or(0, |it| it.iter().map(|it| it.num_microseconds()).sum());
    Duration::from_micros(micros.max(0) as u64)
}

/// Each test fails with words of its own; this explains them all. Not with
/// `eprintln!`: the test harness captures that.
fn tell_that_time_is_up() {
    let limit = time_limit::seconds();
    let _ = writeln!(
        io::stderr(),
        "\nAll tests together may take {limit} s, and these are over. The programs that were still \
         running were killed, and the tests that wait for them fail. Does your program hang? On a \
         slow machine TEST_SECONDS=60 gives it more time.\n"
    );
}

/// Kills the orphans of programs that are gone, now: a test process that exits
/// before the watchdog's next look would leave them to process 1.
pub(crate) fn kill_orphans() {
    let Some(watchdog) = WATCHDOG.get() else { return };
    // The children of an orphan become our children when it is killed.
    clean_up_eventually(KILL_LIMIT, || {
        let _no_fork = lock(&FORKING);
        let table = Table::read();
        let members =
            watchdog.trees().iter().flat_map(|it| it.living_in(&table)).collect();
        let orphans = watchdog.kill_orphans_in(&table, &members);
        (orphans == 0).then_some(())
    });
}

impl Watchdog {
    /// The programs that are still running.
    fn trees(&self) -> Vec<Arc<ProcessTree>> {
        let mut trees = lock(&self.trees);
        trees.retain(|tree| tree.strong_count() > 0);
        trees.iter().filter_map(Weak::upgrade).collect()
    }

    fn look(&self) {
        // A program that is being started is in neither list yet.
        let no_fork = lock(&FORKING);
        let trees = self.trees();
        let table = Table::read();
        let members: Vec<Vec<Process>> =
            trees.iter().map(|tree| tree.living_in(&table)).collect();
        self.kill_orphans_in(&table, &members.iter().flatten().copied().collect());
        drop(no_fork);
        for (tree, members) in trees.iter().zip(members) {
            if let Some(reason) = violation(tree, members.len()) {
                tree.kill_because(reason);
            }
        }
    }

    /// Kills the processes that have become our children because they lost their
    /// parent, if their program is gone; and reaps them. Returns how many were
    /// alive.
    fn kill_orphans_in(&self, table: &Table, members: &HashSet<Process>) -> usize {
        let our_pid = std::process::id() as i32;
        let leaders = lock(&self.leaders);
        let mut orphans = table.children_of(our_pid);
        orphans.retain(|it| !leaders.contains(it) && !members.contains(it));
        for orphan in &orphans {
            orphan.signal(Signal::SIGKILL);
        }
        for zombie in table.zombies_of(our_pid) {
            if !leaders.contains(&zombie) {
                let pid = Pid::from_raw(zombie.pid);
                let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
            }
        }
        orphans.len()
    }
}

/// The limit that a program with so many processes has broken, if it has.
fn violation(tree: &ProcessTree, processes: usize) -> Option<String> {
    if time_limit::is_up() {
        return Some(time_limit::reason());
    }
    if tree.stdout.is_over_limit() || tree.stderr.is_over_limit() {
        return Some(format!(
            "it printed more than {} MiB. Is there a loop without end?",
            MAX_OUTPUT >> 20
        ));
    }
    (processes >= MAX_PROCESSES).then(|| {
        format!(
            "it had {processes} processes at once, and {MAX_PROCESSES} is the limit. Does a child \
             go on in its parent's loop, and fork as well?"
        )
    })
}
