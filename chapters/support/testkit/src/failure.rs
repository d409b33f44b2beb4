//! How a failed test of an exercise reports: its message, and nothing around it.

use std::cell::RefCell;
use std::panic::{PanicHookInfo, set_hook};
use std::sync::{Arc, Once, OnceLock};
use std::{env, thread};

use crate::capture::Capture;
use crate::time_limit;

thread_local! {
    /// The standard error of the programs that this thread's test has started, even
    /// after they have exited.
    static STDERRS: RefCell<Vec<Arc<Capture>>> = const { RefCell::new(Vec::new()) };
}

/// What `todo!()` prints.
const TODO: &str = "not yet implemented";

/// How the line begins that says how to see what a program does.
pub const LAB_NOTE: &str = "note: see what its processes do";

/// The exercise's number, as in `ex12`.
static EXERCISE: OnceLock<String> = OnceLock::new();

/// From now on, a test of this process that fails prints its message without a
/// backtrace, even with `RUST_BACKTRACE=1`: that would show the test's code, and
/// the student is to look at the program. `RUST_BACKTRACE=full` shows it all the
/// same.
pub(crate) fn report_messages_only(package: &str) {
    static ONCE: Once = Once::new();
    let number = package.split('-').next().unwrap_or_default();
    if number.strip_prefix("ex").is_some_and(|it| it.parse::<u32>().is_ok()) {
        EXERCISE.get_or_init(|| number.to_owned());
    }
    if env::var_os("RUST_BACKTRACE").is_none_or(|it| it != "full") {
        ONCE.call_once(|| set_hook(Box::new(report)));
    }
}

/// Remembers a program that the test of this thread has started.
pub(crate) fn watch(stderr: &Arc<Capture>) {
    STDERRS.with_borrow_mut(|stderrs| stderrs.push(Arc::clone(stderr)));
}

/// Prints a panic as std does, but for the backtrace. If the program stopped at a
/// `todo!()`, that is the message: what else the test has seen follows from it. If the
/// time of all tests is up, it says so: the test's own words may not know.
fn report(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or(payload.downcast_ref::<String>().map(String::as_str));
    let todo = todo_in_program();
    let is_begun = todo.is_none();
    let message = todo
        .unwrap_or_else(|| text.unwrap_or("a panic without a message").to_owned());
    let reason = time_limit::reason();
    let message = match time_limit::is_up() && !message.contains(&reason) {
        true => format!("{message}\nThe time is up: {reason}"),
        false => message,
    };
    let thread = thread::current();
    let name = thread.name().unwrap_or("without a name");
    let place = panic.location().map(|it| format!(" at {it}")).unwrap_or_default();
    // nextest takes the last line with such a beginning for the test's. If the message
    // quotes a program that panicked too, that is not the one.
    let message = message.replace("\nthread '", "\n    thread '");
    eprintln!("\nthread '{name}' panicked{place}:\n{message}");
    if is_begun {
        hint_at_lab();
    }
}

/// Says once how to see what the program does. As the standard library does with its
/// hint, in a line of its own, which the classroom's commands leave out.
fn hint_at_lab() {
    static ONCE: Once = Once::new();
    let Some(number) = EXERCISE.get() else { return };
    ONCE.call_once(|| {
        eprintln!("{LAB_NOTE}: cargo run -p classroom -- lab {number}");
    });
}

/// The text of the `todo!()` at which a program of this test has stopped, and where
/// it is.
fn todo_in_program() -> Option<String> {
    let stderrs = STDERRS.try_with(|it| it.borrow().clone()).ok()?;
    stderrs.iter().rev().find_map(|stderr| {
        let text = stderr.text();
        let at = text.find(&format!("\n{TODO}"))?;
        let message = text[at + 1..].lines().next()?;
        // `thread 'main' (123) panicked at src/solution.rs:6:5:` stands above it.
        let header = text[..at].lines().last().unwrap_or_default();
        let place = header.split_once(" panicked at ").map_or("", |(_, it)| it);
        Some(format!("{message}\n({})", place.trim_end_matches(':')))
    })
}
