//! A command line, word by word.

use std::{error::Error, ffi::OsString, fmt, fmt::Display, str::FromStr};

use lexopt::{Arg, Parser, ValueExt as _};

/// The words of a command line, one after another.
#[derive(Debug)]
pub struct Arguments(Parser);

impl Arguments {
    /// The command line of this process.
    pub(crate) fn from_env() -> Arguments {
        Arguments(Parser::from_env())
    }

    /// The next word: a flag with its dashes (`--port`), or any other word
    /// unchanged.
    ///
    /// # Errors
    /// [`Help`] for `--help` and `-h`; a word that is not UTF-8.
    pub fn word(&mut self) -> anyhow::Result<Option<String>> {
        Ok(match self.0.next()? {
            None => None,
            Some(Arg::Long("help") | Arg::Short('h')) => return Err(Help.into()),
            Some(Arg::Long(flag)) => Some(format!("--{flag}")),
            Some(Arg::Short(flag)) => Some(format!("-{flag}")),
            Some(Arg::Value(word)) => Some(word.string()?),
        })
    }

    /// The value of the flag that [`word`](Arguments::word) returned last.
    ///
    /// # Errors
    /// If it has none.
    pub fn value(&mut self) -> anyhow::Result<String> {
        Ok(self.0.value()?.string()?)
    }

    /// The value of `flag`, which [`word`](Arguments::word) returned last: a whole
    /// number from `least` to `most`.
    ///
    /// # Errors
    /// If it is missing, not a number, or out of bounds.
    pub fn number<T>(&mut self, flag: &str, least: T, most: T) -> anyhow::Result<T>
    where
        T: FromStr + PartialOrd + Display,
    {
        let text = self.value()?;
        match text.parse() {
            Ok(value) if value >= least && value <= most => Ok(value),
            _ => Err(wrong(format_args!(
                "{flag} takes a number from {least} to {most}, not '{text}'"
            ))),
        }
    }

    /// All words that are left, flags included.
    pub fn remaining(&mut self) -> Vec<OsString> {
        self.0.raw_args().map(Iterator::collect).unwrap_or_default()
    }

    /// The rest of the line, flags included: the program that `flag` runs, and its
    /// arguments.
    ///
    /// # Errors
    /// If nothing is left.
    pub fn rest(&mut self, flag: &str) -> anyhow::Result<Vec<OsString>> {
        let words = self.remaining();
        if words.is_empty() {
            return Err(wrong(format_args!("{flag} needs a program to run")));
        }
        Ok(words)
    }

    /// The name of a worker, if it has one: all that may follow `worker`.
    ///
    /// # Errors
    /// Any further word.
    pub fn worker_name(&mut self) -> anyhow::Result<Option<String>> {
        let name = self.word()?;
        match self.word()? {
            Some(word) => Err(unexpected(&word)),
            None => Ok(name),
        }
    }
}

/// An error for a wrong command line: [`run`](fn@crate::run) prints it above the
/// usage and exits with 2.
pub fn wrong(what: impl Display) -> anyhow::Error {
    lexopt::Error::Custom(what.to_string().into()).into()
}

/// The error for a word that the program does not know.
pub fn unexpected(word: &str) -> anyhow::Error {
    let kind = if word.starts_with('-') { "flag" } else { "argument" };
    wrong(format_args!("unknown {kind} '{word}'"))
}

/// The user asked for help: [`run`](fn@crate::run) prints the usage on standard
/// output and exits with 0.
#[derive(Debug)]
pub struct Help;

impl Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("help was asked for")
    }
}

impl Error for Help {}
