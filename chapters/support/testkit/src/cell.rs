//! A cell: where code may run that nobody has looked at yet.
//!
//! A student's program forks in a loop, forgets to wait, prints without end, or detaches itself from
//! whoever started it. In a cell it may do all of that:
//!
//! - the kernel limits it (getrlimit(2)): processes, memory, the size of files, processor
//!   time;
//! - a *warden*, a thread of the test process, watches what the kernel does not limit: the time that
//!   all tests of this process take together, what is printed, and how many processes there are;
//! - this process is a *subreaper* (prctl(2)): what loses its parent becomes our child, wherever it has
//!   hidden, and the warden ends it;
//! - it cannot signal everybody at once, nor this process (seccomp(2)).
//!
//! As root, the program runs as an unprivileged user, because root is not bound by the limit on
//! processes. Where that user cannot reach the program, it runs as root, and the warden alone bounds
//! the number of its processes: [`Bound`] tells.

mod filter;
mod limits;
mod warden;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub use limits::Bound;
pub(crate) use limits::Confinement;
pub(crate) use warden::{time_is_up, watch};

use crate::Program;
use crate::family::Family;

/// Processes that a program may have at once, itself included.
pub const MAX_PROCESSES: usize = 64;

/// What it may print, in bytes, on each of its two streams.
pub const MAX_OUTPUT: usize = 1 << 20;

/// How long all tests of one test process may take, in seconds. On a machine that is very slow, the
/// variable `TEST_SECONDS` gives them longer.
pub(crate) fn run_limit() -> Duration {
    let said =
        std::env::var("TEST_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(said.unwrap_or(20))
}

/// What a reader of a failure should know of the limits.
pub(crate) fn story(family: &Arc<Family>) -> String {
    let ended =
        family.verdict().map(|why| format!("It was ended from outside: {why}.\n"));
    ended.unwrap_or_default()
}

/// The program of the exercise that these tests belong to, in a cell.
///
/// # Panics
/// When it is not there: cargo builds it before the tests of its package.
#[track_caller]
pub fn exercise(package: &str) -> Program {
    let tests = std::env::current_exe().expect("the path of the tests");
    // target/debug/deps/judge-0123456789abcdef: the program is one folder further up.
    let path =
        tests.parent().and_then(Path::parent).map(|folder| folder.join(package));
    let path = path.filter(|path| path.exists());
    let path = path.unwrap_or_else(|| {
        panic!("{package} is not built: cargo test -p {package}")
    });
    Program::new(path).in_cell()
}

/// The program of the exercise that these tests belong to, as a [`Program`] that is to run in a
/// [cell](crate::cell).
#[macro_export]
macro_rules! exercise {
    () => {
        $crate::cell::exercise(env!("CARGO_PKG_NAME"))
    };
}
