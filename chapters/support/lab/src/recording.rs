//! Recordings: a file of lines. The first says what it is, each other one is an event.

use std::io::{self, BufRead, Write};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use crate::event::Event;

/// What the first line must say.
pub const FORMAT: &str = "lab-recording-1";

/// The first line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// [`FORMAT`].
    pub format: String,
    /// The command line of the program.
    pub program: Vec<String>,
}

impl Head {
    /// Of a recording of this program.
    pub fn new(program: Vec<String>) -> Head {
        Head { format: FORMAT.to_owned(), program }
    }
}

/// Writes a line.
///
/// # Errors
/// The file cannot be written.
pub fn write(mut file: impl Write, value: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    file.write_all(&line)
}

/// Reads a recording.
///
/// # Errors
/// The file cannot be read; the first line is no [`Head`] of this format; a line is no
/// event, or its number is not the next one.
pub fn read(file: impl BufRead) -> anyhow::Result<(Head, Vec<Event>)> {
    let mut lines = file.lines();
    let first = lines.next().context("it is empty")??;
    let head = serde_json::from_str::<Head>(&first);
    let head = head.ok().filter(|it| it.format == FORMAT);
    let Some(head) = head else { bail!("its first line does not say {FORMAT}") };
    let mut events = Vec::new();
    for (number, line) in lines.enumerate() {
        let at = || format!("line {} is no event", number + 2);
        let event: Event = serde_json::from_str(&line?).with_context(at)?;
        if event.number != number as u64 {
            bail!("line {} has event {}, not {number}", number + 2, event.number);
        }
        events.push(event);
    }
    Ok((head, events))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Level, What};

    fn event(number: u64) -> Event {
        Event {
            number,
            time: 0.5,
            pid: 7,
            thread: None,
            level: Level::Life,
            what: What::Fork { child: 8 },
            objects: Vec::new(),
            changes: Vec::new(),
            gone: Vec::new(),
            raw: "fork() = 8".to_owned(),
        }
    }

    fn written(numbers: &[u64]) -> Vec<u8> {
        let mut file = Vec::new();
        write(&mut file, &Head::new(vec!["a".to_owned()])).expect("memory");
        for &number in numbers {
            write(&mut file, &event(number)).expect("memory");
        }
        file
    }

    #[test]
    fn what_was_written_is_read() {
        let (head, events) = read(&*written(&[0, 1])).expect("a recording");
        assert_eq!(head.program, ["a"]);
        assert_eq!(events, [event(0), event(1)]);
    }

    #[test]
    fn another_file_is_an_error() {
        let error = |file: &[u8]| read(file).expect_err("no recording").to_string();
        assert_eq!(error(b""), "it is empty");
        assert_eq!(error(b"{}\n"), "its first line does not say lab-recording-1");
        assert_eq!(error(b"\xff\n"), "stream did not contain valid UTF-8");
        assert_eq!(error(&written(&[0, 2])), "line 3 has event 2, not 1");
        let mut cut = written(&[0]);
        cut.truncate(cut.len() - 9);
        assert_eq!(error(&cut), "line 2 is no event");
    }
}
