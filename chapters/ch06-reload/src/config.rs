// ANCHOR: top
//! The configuration file: what it may say, and one line for each mistake in it.

use std::{
    fmt::Display,
    fs, io,
    num::NonZero,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    str, thread,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use toml::de::{DeTable, DeValue, Error};

use crate::files::{cannot_read, one_line, read_regular};
// ANCHOR_END: top

// ANCHOR: limits
/// The longest file, in bytes.
const MAX_FILE: usize = 1 << 20;

/// The longest greeting and the longest path, in bytes. A worker gets both as JSON in
/// one argument, which has less than 128 KiB (execve(2)). In JSON, one byte can
/// become six: `\u0001`.
const MAX_GREETING: usize = 16 << 10;
const MAX_PATH: usize = 4 << 10;

/// The most workers. The command line has the same limit.
const MAX_WORKERS: usize = 1024;

/// The most crashes that a limit can allow.
const MAX_CRASHES: usize = 1000;

/// The shortest and the longest time limit, in seconds.
const SHORTEST: f64 = 0.1;
const LONGEST: f64 = 3600.0;

/// The longest time that a worker may take to become ready, in seconds: chapter 5's
/// supervisor waits no longer.
const LONGEST_START: f64 = 30.0;
// ANCHOR_END: limits

// ANCHOR: config
/// What the configuration file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// How many workers: 1 to 1024. The default is the number of CPUs.
    pub workers: usize,
    /// The response to `GET /`.
    pub greeting: String,
    /// The folder of the static files: its path without symbolic links. The default
    /// is none.
    pub folder: Option<PathBuf>,
    /// How long a worker may take to become ready. The default is 10 s.
    pub start_limit: Duration,
    /// How long a worker may be silent before it is killed. The default is 10 s.
    pub alive_limit: Duration,
    /// So many crashes in [`crash_time`](Config::crash_time) are too many, and the
    /// server gives up. The default is 10.
    pub crashes: usize,
    /// The default is 60 s.
    pub crash_time: Duration,
}

impl Default for Config {
    fn default() -> Config {
        let cpus = thread::available_parallelism().map_or(1, NonZero::get);
        Config {
            workers: cpus.min(MAX_WORKERS),
            greeting: "hello from chapter 6".to_owned(),
            folder: None,
            start_limit: Duration::from_secs(10),
            alive_limit: Duration::from_secs(10),
            crashes: 10,
            crash_time: Duration::from_secs(60),
        }
    }
}
// ANCHOR_END: config

// ANCHOR: error
/// Why a configuration file cannot be used, in one line:
/// `site.toml:3:11: workers: 0 is not between 1 and 1024`. The line and the column
/// are counted from 1, the column in characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError(String);

impl std::error::Error for ConfigError {}

impl Display for ConfigError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}
// ANCHOR_END: error

impl Config {
    // ANCHOR: read
    /// Reads and checks a file in TOML. Each key may be left out; then the default
    /// counts. `folder` is relative to the folder of the file. Never blocks on a
    /// FIFO or a device.
    ///
    /// # Errors
    /// The first mistake in the file, or `cannot read site.toml: …`.
    pub fn read(path: &Path) -> Result<Config, ConfigError> {
        let bytes = read_file(path)
            .map_err(|error| ConfigError(cannot_read(path, &error).to_string()))?;
        let base = path.parent().unwrap_or(Path::new(""));
        parse(&bytes, base).map_err(|Mistake { at, what }| {
            let (line, column) = position(&bytes[..at]);
            let file = path.display();
            ConfigError(one_line(&format!("{file}:{line}:{column}: {what}")))
        })
    }
    // ANCHOR_END: read
}

// ANCHOR: read_file
fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let bytes = read_regular(path, MAX_FILE + 1)?;
    if bytes.len() > MAX_FILE {
        return Err(io::Error::other("it is larger than 1 MiB"));
    }
    Ok(bytes)
}
// ANCHOR_END: read_file

// ANCHOR: mistake
/// A mistake in a file.
struct Mistake {
    /// Where it is, in bytes from the start of the file.
    at: usize,
    what: String,
}

/// The line and the column that follow the text `before`.
fn position(before: &[u8]) -> (usize, usize) {
    let before = String::from_utf8_lossy(before);
    let lines = before.split('\n');
    let last_line = lines.clone().next_back().unwrap_or_default();
    // The byte order mark, with which some editors begin a file, has no width.
    let column = last_line.trim_start_matches('\u{feff}').chars().count() + 1;
    (lines.count(), column)
}
// ANCHOR_END: mistake

// ANCHOR: parse
/// `base`: the folder of the file.
fn parse(bytes: &[u8], base: &Path) -> Result<Config, Mistake> {
    let text = str::from_utf8(bytes).map_err(|error| Mistake {
        at: error.valid_up_to(),
        what: "the text is not UTF-8".to_owned(),
    })?;
    // The parser finds some mistakes late: the first one in the file counts.
    let (table, errors) = DeTable::parse_recoverable(text);
    let start = |error: &Error| error.span().map_or(text.len(), |span| span.start);
    if let Some(error) = errors.iter().min_by_key(|error| start(error)) {
        return Err(Mistake { at: start(error), what: error.message().to_owned() });
    }
    let mut config = Config::default();
    for entry in entries(text, "", table.get_ref()) {
        match &*entry.path {
            "workers" => config.workers = entry.number(1..=MAX_WORKERS)?,
            "greeting" => config.greeting = entry.text(MAX_GREETING)?.to_owned(),
            "folder" => config.folder = Some(entry.folder(base)?),
            "limits" => {
                for entry in entries(text, "limits.", entry.table()?) {
                    match &*entry.path {
                        "limits.start" => {
                            config.start_limit = entry.seconds(LONGEST_START)?;
                        }
                        "limits.alive" => {
                            config.alive_limit = entry.seconds(LONGEST)?;
                        }
                        "limits.crashes" => {
                            config.crashes = entry.number(1..=MAX_CRASHES)?;
                        }
                        "limits.crash_time" => {
                            config.crash_time = entry.seconds(LONGEST)?;
                        }
                        _ => {
                            let keys = "start, alive, crashes, crash_time";
                            return Err(entry.unknown(keys));
                        }
                    }
                }
            }
            _ => {
                return Err(entry.unknown("workers, greeting, folder, limits"));
            }
        }
    }
    Ok(config)
}
// ANCHOR_END: parse

// ANCHOR: entry
/// A key and its value.
struct Entry<'a> {
    /// The key, with the keys of the tables that it is in: `limits.start`.
    path: String,
    key_at: usize,
    value_at: usize,
    value: &'a DeValue<'a>,
    /// The value as it is written in the file.
    source: &'a str,
}

/// The entries of a table, in the order of the file.
fn entries<'a>(text: &'a str, prefix: &str, table: &'a DeTable) -> Vec<Entry<'a>> {
    let entries = table.iter().map(|(key, value)| Entry {
        path: format!("{prefix}{}", key.get_ref()),
        key_at: key.span().start,
        value_at: value.span().start,
        value: value.get_ref(),
        source: &text[value.span()],
    });
    let mut entries: Vec<_> = entries.collect();
    entries.sort_by_key(|entry| entry.key_at);
    entries
}
// ANCHOR_END: entry

impl Entry<'_> {
    // ANCHOR: mistakes
    fn mistake(&self, what: impl Display) -> Mistake {
        Mistake { at: self.value_at, what: format!("{}: {what}", self.path) }
    }

    /// `what` says what the value should be: `workers: 0 is not …`.
    fn is_not(&self, what: impl Display) -> Mistake {
        self.mistake(format_args!("{} is not {what}", short(self.source)))
    }

    /// There is no such key. `keys` lists the keys that exist.
    fn unknown(&self, keys: &str) -> Mistake {
        let what = format!("{}: unknown key; there are {keys}", short(&self.path));
        Mistake { at: self.key_at, what }
    }
    // ANCHOR_END: mistakes

    // ANCHOR: number
    fn number(&self, range: RangeInclusive<usize>) -> Result<usize, Mistake> {
        let DeValue::Integer(number) = self.value else {
            return Err(self.is_not("a whole number"));
        };
        // TOML sets no limit: a number that is too long for usize is out of range.
        usize::from_str_radix(number.as_str(), number.radix())
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.is_not_between(range.start(), range.end()))
    }

    fn seconds(&self, most: f64) -> Result<Duration, Mistake> {
        let seconds = match self.value {
            DeValue::Integer(number) => {
                let whole = u32::from_str_radix(number.as_str(), number.radix());
                whole.ok().map(f64::from)
            }
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => return Err(self.is_not("a number")),
        };
        // `nan` is in no range.
        seconds
            .filter(|seconds| (SHORTEST..=most).contains(seconds))
            .map(Duration::from_secs_f64)
            .ok_or_else(|| self.is_not_between(SHORTEST, most))
    }

    fn is_not_between(&self, least: impl Display, most: impl Display) -> Mistake {
        self.is_not(format_args!("between {least} and {most}"))
    }
    // ANCHOR_END: number

    // ANCHOR: text
    fn text(&self, most: usize) -> Result<&str, Mistake> {
        match self.value {
            DeValue::String(text) if text.contains('\0') => {
                Err(self.mistake("it contains the character NUL"))
            }
            DeValue::String(text) if text.len() > most => {
                Err(self.mistake(format_args!("it is longer than {most} bytes")))
            }
            DeValue::String(text) => Ok(text),
            _ => Err(self.is_not("a string")),
        }
    }

    fn table(&self) -> Result<&DeTable<'_>, Mistake> {
        self.value.as_table().ok_or_else(|| self.is_not("a table"))
    }
    // ANCHOR_END: text

    // ANCHOR: folder
    /// The path of a folder, without symbolic links: if a link is changed later, all
    /// workers keep the old folder until the next reload.
    fn folder(&self, base: &Path) -> Result<PathBuf, Mistake> {
        let text = self.text(MAX_PATH)?;
        if text.is_empty() {
            return Err(self.is_not("a path"));
        }
        let path = base.join(text);
        let real_path = fs::read_dir(&path).and_then(|_| path.canonicalize());
        match real_path {
            Ok(real_path) if real_path.to_str().is_some() => Ok(real_path),
            // The path must go into JSON.
            Ok(path) => {
                Err(self.mistake(format_args!("{} is not UTF-8", path.display())))
            }
            Err(error) => Err(self.mistake(cannot_read(&path, &error))),
        }
    }
    // ANCHOR_END: folder
}

// ANCHOR: short
/// The start of a text that may be long.
fn short(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
// ANCHOR_END: short
