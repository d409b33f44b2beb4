//! Your part.

/// Runs all `commands` at the same time, each in a child of its own made with fork(2), as
/// `sh -c COMMAND`. Returns when every one has ended: their exit codes, in the order of `commands`.
pub fn run_all(commands: &[String]) -> Vec<i32> {
    todo!("start {} children, then wait for each", commands.len())
}
