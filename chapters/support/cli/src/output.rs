//! What a program says, and how it words what went wrong.

use std::{
    fmt::Display,
    io::{self, Write},
    os::fd::AsFd,
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// Prints a line on standard output, or does nothing where its reader is gone.
///
/// `println!` panics then, as in `chNN | head -n 1`.
pub fn say(line: impl Display) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// As [`say`], for a server: a line is shortened to 1 KiB, and lost if the reader does not read.
///
/// `server | less` stops reading after a page. A pipe takes 64 KiB more, and then write(2) blocks: a
/// server must not stand still because of its log.
pub fn log(line: impl Display) {
    write_if_taken(&mut io::stdout().lock(), &line);
}

/// As [`log`], on standard error.
pub fn complain(line: impl Display) {
    write_if_taken(&mut io::stderr().lock(), &line);
}

fn write_if_taken(stream: &mut (impl Write + AsFd), line: &impl Display) {
    let mut line = line.to_string();
    if let Some((end, _)) = line.char_indices().find(|(at, _)| *at >= 1024) {
        line.truncate(end);
        line.push('…');
    }
    line.push('\n');
    // One write(2), so that the lines of several processes do not mix.
    if takes_a_line(stream) {
        let _ = stream.write_all(line.as_bytes());
    }
}

/// A pipe can be written if it has room for 4 KiB (pipe(7), `PIPE_BUF`): for a line, then.
fn takes_a_line(stream: &impl AsFd) -> bool {
    let mut polled = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    poll(&mut polled, PollTimeout::ZERO) != Ok(0)
}

/// What went wrong, in the system's own words: `Address already in use`, without the number that
/// `std` puts behind it.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((words, _)) if error.raw_os_error().is_some() => words.to_owned(),
        _ => text,
    }
}

/// An error and all its causes, on one line.
pub fn why(error: &anyhow::Error) -> String {
    let causes =
        error.chain().map(|cause| match cause.downcast_ref::<io::Error>() {
            Some(io) => reason(io),
            None => cause.to_string(),
        });
    causes.collect::<Vec<_>>().join(": ")
}
