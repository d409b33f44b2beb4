//! Node, if the machine has it.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::temp_dir::{TempDir, temp_dir};

/// The path of `node`, by `PATH`. If there is none, prints so on standard error and
/// returns `None`; the test then returns as well.
///
/// # Panics
/// If there is none and `REQUIRE_NODE` is set: CI must not skip these tests.
#[track_caller]
pub fn node() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .map(|dir| dir.join("node"))
        .find(|file| executable(file));
    if found.is_none() {
        if env::var_os("REQUIRE_NODE").is_some() {
            panic!("node is required here (REQUIRE_NODE) but not found in PATH");
        }
        // Not `eprintln!`: the test harness does not show that of a test that
        // passes.
        let _ = writeln!(io::stderr(), "skipped: no node found in PATH");
    }
    found
}

/// A Node program in a file of its own, which is removed when this is dropped.
#[derive(Debug)]
pub struct NodeScript {
    path: PathBuf,
    _dir: TempDir,
}

/// Writes `script_source` to a file that every user may read. With `include_str!`
/// the script is a part of the test, which then runs without the source tree.
///
/// # Panics
/// If the file cannot be written.
#[track_caller]
pub fn node_program(script_source: &str) -> NodeScript {
    let dir = temp_dir();
    NodeScript { path: dir.write("script.js", script_source), _dir: dir }
}

impl NodeScript {
    /// The path of the script.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsRef<OsStr> for NodeScript {
    fn as_ref(&self) -> &OsStr {
        self.path.as_os_str()
    }
}

fn executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
