//! Solution.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process;

use nix::libc;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork, pipe};

/// How long a record is, in bytes: three letters and a newline.
pub const RECORD: usize = 4;

// ANCHOR: in_a_copy
/// Runs `work` in a copy of this process, made with fork(2), and returns the text that `work`
/// returns. Blocks until the copy has ended.
///
/// What `work` changes in memory, it changes in the copy alone. What this process holds in a buffer, it
/// alone prints. When this returns, the copy is reaped, and nothing that was opened for it is open.
///
/// # Errors
/// Those of pipe(2) and fork(2). Any error if the copy has not ended with code 0, because `work` has
/// panicked or a signal has ended it.
pub fn in_a_copy(work: impl FnOnce() -> String) -> io::Result<String> {
    let (reader, writer) = pipe()?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            // The pipe ends when its last writer closes it. That has to be the copy.
            drop(writer);
            let mut text = String::new();
            // Read first, then wait: a copy that has more to say than a pipe holds does not end
            // before it is heard (pipe(7)).
            let read = File::from(reader).read_to_string(&mut text);
            // Also when reading has failed: who makes a child has to reap it.
            let ended = waitpid(child, None)?;
            match ended {
                WaitStatus::Exited(_, 0) => read.map(|_| text),
                _ => {
                    Err(io::Error::other(format!("the copy has failed: {ended:?}")))
                }
            }
        }
        ForkResult::Child => {
            drop(reader);
            let report = || File::from(writer).write_all(work().as_bytes());
            // A panic must end here: further up is the rest of the program, and that is the parent's.
            let code = match catch_unwind(AssertUnwindSafe(report)) {
                Ok(Ok(())) => 0,
                _ => 101,
            };
            // Not exit(3): that would print what the parent still has in its buffers.
            // SAFETY: _exit ends the process, and with it all that could observe it.
            unsafe { libc::_exit(code) }
        }
    }
}
// ANCHOR_END: in_a_copy

// ANCHOR: read_in_turns
/// Reads `file` to its end, a record at a time: this process reads the first record, a copy of it the
/// second, this process the third, the next copy the fourth, and so on. `file` has whole records only.
///
/// Both count what is read, in one and the same variable. Returns a line for each record, in the
/// order of the file: the process id of its reader, the record without its newline, and the count as
/// the reader sees it then. Like `4312 one 1`.
///
/// # Errors
/// Those of read(2), and of [`in_a_copy`].
pub fn read_in_turns(file: File) -> io::Result<Vec<String>> {
    let mut count = 0;
    let mut lines = Vec::new();
    while let Some(line) = read_one(&file, &mut count)? {
        lines.push(line);
        // Nothing is handed back through `count`: this writes to the copy's own.
        let line = in_a_copy(|| match read_one(&file, &mut count) {
            Ok(line) => line.unwrap_or_default(),
            Err(error) => panic!("cannot read: {error}"),
        })?;
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    Ok(lines)
}

/// Reads the next record and counts it; `None` at the end of the file.
fn read_one(mut file: &File, count: &mut u32) -> io::Result<Option<String>> {
    // Exactly one record. What was read ahead would lie in memory, and fork copies memory.
    let mut record = [0; RECORD];
    match file.read_exact(&mut record) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    *count += 1;
    let word = String::from_utf8_lossy(&record);
    Ok(Some(format!("{} {} {count}", process::id(), word.trim_end())))
}
// ANCHOR_END: read_in_turns
