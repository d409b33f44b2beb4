//! The program of an exercise, for its tests.

use std::path::Path;

use crate::failure::report_messages_only;
use crate::program::Program;

/// The program of the exercise that these tests belong to, as a
/// [`Program`] in a [sandbox](crate::sandbox).
///
/// # Panics
/// If it is not built: cargo builds it with the tests of its package.
#[macro_export]
macro_rules! exercise {
    () => {
        $crate::exercise_program(env!("CARGO_PKG_NAME"))
    };
}

/// What `exercise!` calls.
#[doc(hidden)]
#[track_caller]
pub fn exercise_program(package: &str) -> Program {
    report_messages_only(package);
    let tests = std::env::current_exe().expect("the path of the tests");
    // target/debug/deps/check-0123456789abcdef: the program is in target/debug.
    let path =
        tests.parent().and_then(Path::parent).map(|folder| folder.join(package));
    match path.filter(|path| path.exists()) {
        Some(path) => Program::new(path).sandboxed(),
        None => panic!("{package} is not built: cargo test -p {package}"),
    }
}
