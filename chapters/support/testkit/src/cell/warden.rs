//! What the kernel does not limit.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

use super::{MAX_OUTPUT, MAX_PROCESSES, run_limit};
use crate::family::Family;
use crate::lock;
use crate::processes::{Process, children_of, zombies_of};
use crate::spawn::FORKING;

/// How often the warden looks.
const PAUSE: Duration = Duration::from_millis(50);

/// All cells of this process.
struct Warden {
    began: Instant,
    families: Mutex<Vec<Weak<Family>>>,
    /// The programs that we have started ourselves: not strays, and others wait for them.
    leaders: Mutex<HashSet<Process>>,
}

static WARDEN: OnceLock<Warden> = OnceLock::new();

/// Puts a family under watch. Called while [`FORKING`] is held: so its leader is never taken for a
/// stray.
pub(crate) fn watch(family: &Arc<Family>) {
    let warden = WARDEN.get_or_init(|| {
        // Orphans become our children, and not those of process 1.
        let _ = nix::sys::prctl::set_child_subreaper(true);
        thread::spawn(|| {
            let mut told = false;
            loop {
                thread::sleep(PAUSE);
                let Some(warden) = WARDEN.get() else { continue };
                warden.look();
                if time_is_up() && !std::mem::replace(&mut told, true) {
                    tell_that_time_is_up();
                }
            }
        });
        Warden {
            began: Instant::now(),
            families: Mutex::default(),
            leaders: Mutex::default(),
        }
    });
    lock(&warden.families).push(Arc::downgrade(family));
    lock(&warden.leaders).insert(family.leader);
}

/// Whether the tests of this process have used up their time.
pub(crate) fn time_is_up() -> bool {
    WARDEN.get().is_some_and(|it| it.began.elapsed() > run_limit())
}

/// Each test fails with words of its own. So this is said beside them; not with `eprintln`, which the
/// test harness keeps for itself.
fn tell_that_time_is_up() {
    let limit = run_limit().as_secs();
    let _ = writeln!(
        io::stderr(),
        "\nAll tests together may take {limit} s, and that is over. What still ran was ended, and the tests \
         that waited for it fail: does it hang? On a slow machine TEST_SECONDS=60 gives them longer.\n"
    );
}

impl Warden {
    fn look(&self) {
        let families: Vec<Arc<Family>> = {
            let mut families = lock(&self.families);
            families.retain(|family| family.strong_count() > 0);
            families.iter().filter_map(Weak::upgrade).collect()
        };
        for family in &families {
            if let Some(why) = self.objection(family) {
                family.end(why);
            }
        }
        self.end_strays(&families);
    }

    /// Why a family has to be ended, if it has.
    fn objection(&self, family: &Family) -> Option<String> {
        if time_is_up() {
            return Some(format!(
                "all tests together may take {} s. Does it wait for something that \
                 never comes, or loop without end?",
                run_limit().as_secs()
            ));
        }
        if family.has_flooded() {
            let most = MAX_OUTPUT >> 20;
            return Some(format!(
                "it has printed more than {most} MiB. Is there a loop without end?"
            ));
        }
        let processes = family.living().len();
        (processes >= MAX_PROCESSES).then(|| {
            format!(
                "it had {processes} processes at once, and {MAX_PROCESSES} is the limit. Does a child \
                 go on in its parent's loop, and fork as well?"
            )
        })
    }

    /// Ends whoever has become our child by losing its own parent, and belongs to no program that
    /// still runs.
    fn end_strays(&self, families: &[Arc<Family>]) {
        let _nobody_starts = lock(&FORKING);
        let me = std::process::id() as i32;
        let leaders = lock(&self.leaders);
        let owned: HashSet<Process> =
            families.iter().flat_map(|family| family.living()).collect();
        for stray in children_of(me) {
            if !leaders.contains(&stray) && !owned.contains(&stray) {
                let _ = kill(Pid::from_raw(stray.pid), Signal::SIGKILL);
            }
        }
        for stray in zombies_of(me) {
            if !leaders.contains(&stray) {
                let _ =
                    waitpid(Pid::from_raw(stray.pid), Some(WaitPidFlag::WNOHANG));
            }
        }
    }
}
