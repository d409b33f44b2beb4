//! What a program prints: results, which must arrive, and a log, which may not
//! block it.

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write as _},
    os::fd::AsFd,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd::write,
};

use crate::reason::reason;

/// A log line has at most so many bytes: less than `PIPE_BUF` (4,096).
const LONGEST_LINE: usize = 1024;

/// Whether a result was not written.
static OUTPUT_LOST: AtomicBool = AtomicBool::new(false);

/// Prints a line on standard output, and blocks until it is written.
///
/// Unlike `println!` it does not panic. If the reader has exited, as in
/// `chNN | head -n 1`, the line is dropped. After any other failure (a full disk)
/// it complains once, and [`run`](fn@crate::run) exits with 1.
pub fn say(line: impl Display) {
    // The lock keeps the lines of several threads apart; what `print!` has buffered
    // is older than this line.
    let mut stdout = io::stdout().lock();
    let written = stdout
        .flush()
        .and_then(|()| write_all(&stdout, format!("{line}\n").as_bytes()));
    note_loss("standard output", written);
}

/// As [`say`], but never blocks: a server may not wait for the reader of its output. The
/// rest of a line for which there is no room is left out, and that is complained of.
pub fn say_if_room(line: impl Display) {
    let stdout = io::stdout().lock();
    for part in format!("{line}\n").as_bytes().chunks(4096) {
        if poll_for_room(&stdout, PollTimeout::ZERO) == Ok(0) {
            return complain("no room on standard output");
        }
        if write(&stdout, part).is_err() {
            return;
        }
    }
}

/// Writes what a child has printed to standard error, and blocks until it is
/// written. If that fails: as [`say`].
pub fn pass_on(bytes: &[u8]) {
    let stderr = io::stderr().lock();
    note_loss("standard error", write_all(&stderr, bytes));
}

fn note_loss(stream: &str, written: io::Result<()>) {
    let Err(error) = written else { return };
    let is_lost = error.kind() != ErrorKind::BrokenPipe;
    if is_lost && !OUTPUT_LOST.swap(true, Ordering::Relaxed) {
        let why = reason(&error);
        complain(format_args!("cannot write to {stream}: {why}"));
    }
}

/// Whether [`say`] or [`pass_on`] has failed to write.
pub(crate) fn is_lost() -> bool {
    OUTPUT_LOST.load(Ordering::Relaxed)
}

/// Writes all `bytes`, and blocks until that is done.
///
/// It does so even if the descriptor is non-blocking. `O_NONBLOCK` belongs to the
/// open file (fcntl(2)): a Node program that shares our standard output sets it for
/// us too, and then `std`'s `write_all` fails in the middle of a line.
///
/// # Errors
/// Those of write(2), such as `EPIPE` or `ENOSPC`.
pub fn write_all(fd: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match write(&fd, bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => drop(poll_for_room(&fd, PollTimeout::NONE)),
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

/// Prints a line on standard output, for a server: a line that is longer than 1 KiB
/// is cut, and a line for which there is no room is left out.
///
/// `server | less` stops reading after a page. The pipe holds 64 KiB more, and then
/// write(2) blocks: a server must not stand still because of its log. The next line
/// that finds room is preceded by the number of lines that were left out.
pub fn log(line: impl Display) {
    static LEFT_OUT: AtomicU64 = AtomicU64::new(0);
    write_if_room(io::stdout().lock(), &line, &LEFT_OUT);
}

/// Like [`log`], on standard error.
pub fn complain(line: impl Display) {
    static LEFT_OUT: AtomicU64 = AtomicU64::new(0);
    write_if_room(io::stderr().lock(), &line, &LEFT_OUT);
}

fn write_if_room(stream: impl AsFd, line: &impl Display, left_out: &AtomicU64) {
    let mut line = line.to_string();
    if let Some((end, _)) = line.char_indices().find(|(at, _)| *at >= LONGEST_LINE)
    {
        line.truncate(end);
        line.push('…');
    }
    line.push('\n');
    let before = left_out.swap(0, Ordering::Relaxed);
    if before > 0 {
        line.insert_str(
            0,
            &format!("… {before} lines left out: no room for them\n"),
        );
    }
    // One write(2) of at most PIPE_BUF bytes is never split or mixed with that of
    // another process (pipe(7)).
    let has_room = poll_for_room(&stream, PollTimeout::ZERO) != Ok(0);
    if !has_room || write(&stream, line.as_bytes()).is_err() {
        left_out.fetch_add(before + 1, Ordering::Relaxed);
    }
}

/// Blocks for at most `timeout` until write(2) would not block; 0 if the time is
/// up. A pipe is ready once it has room for 4 KiB.
fn poll_for_room(fd: &impl AsFd, timeout: PollTimeout) -> nix::Result<i32> {
    loop {
        // EINTR, which a signal causes even with a timeout of 0, says nothing.
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)], timeout) {
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}
