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
/// Runs `work` in a copy of this process, made with fork(2), and returns the text
/// that `work` returns. Blocks until the copy has exited.
///
/// What `work` changes in memory, it changes in the copy only. What this process
/// has in a buffer, only this process prints. When this returns, the copy is
/// reaped, and every descriptor that was opened for it is closed.
///
/// # Errors
/// Those of pipe(2) and fork(2). Also if the copy does not exit with code 0,
/// because `work` panics or a signal kills it.
pub fn in_a_copy(work: impl FnOnce() -> String) -> io::Result<String> {
    let (reader, writer) = pipe()?;
    // SAFETY: this process has one thread.
    match unsafe { fork() }? {
        ForkResult::Parent { child } => {
            // The pipe ends when its last writer closes it. That must be the copy.
            drop(writer);
            let mut text = String::new();
            // First read, then wait: a copy that writes more than a pipe holds
            // cannot exit before it is read (pipe(7)).
            let read = File::from(reader).read_to_string(&mut text);
            // Even if reading failed: a child must be reaped.
            let status = waitpid(child, None)?;
            match status {
                WaitStatus::Exited(_, 0) => read.map(|_| text),
                _ => Err(io::Error::other(format!("the copy failed: {status:?}"))),
            }
        }
        ForkResult::Child => {
            drop(reader);
            let report = || File::from(writer).write_all(work().as_bytes());
            // A panic must stop here: further up is the rest of the program, which
            // is the parent's to run.
            let code = match catch_unwind(AssertUnwindSafe(report)) {
                Ok(Ok(())) => 0,
                _ => 101,
            };
            // Not exit(3): it would print what the parent has in its buffers.
            // SAFETY: _exit ends the process at once.
            unsafe { libc::_exit(code) }
        }
    }
}
// ANCHOR_END: in_a_copy

// ANCHOR: read_in_turns
/// Reads `file` to its end, record by record: this process reads the first record,
/// a copy of it the second, this process the third, another copy the fourth, and so
/// on. `file` has whole records only.
///
/// Both count the records that they read, in one and the same variable. Returns a
/// line for each record, in the order of the file: the process id of its reader,
/// the record without its newline, and the count as the reader sees it then. Like
/// `4312 one 1`.
///
/// # Errors
/// Those of read(2) and of [`in_a_copy`].
pub fn read_in_turns(file: File) -> io::Result<Vec<String>> {
    let mut count = 0;
    let mut lines = Vec::new();
    while let Some(line) = read_one(&file, &mut count)? {
        lines.push(line);
        // The closure writes to the copy's own `count`.
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
    // Exactly one record. What is read ahead is in memory, and fork copies memory.
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
