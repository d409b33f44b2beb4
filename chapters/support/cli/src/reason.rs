//! An error in words, on one line.

use std::io;

/// What went wrong, in the system's words: `Address already in use`, without the
/// number that `std` appends.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rsplit_once(" (os error ") {
        Some((words, _)) if error.raw_os_error().is_some() => words.to_owned(),
        _ => text,
    }
}

/// An error and all its causes: `cannot listen on 127.0.0.1:80: Permission denied`.
pub fn why(error: &anyhow::Error) -> String {
    let causes =
        error.chain().map(|cause| match cause.downcast_ref::<io::Error>() {
            Some(io) => reason(io),
            None => cause.to_string(),
        });
    causes.collect::<Vec<_>>().join(": ")
}
