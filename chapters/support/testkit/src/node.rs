//! Node, where the machine has it.

use std::env;
use std::ffi::OsStr;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::place::{TempDir, temp_dir};

/// Where `node` is, by `PATH`. When there is none, says so on standard error and returns `None`:
/// the test then has to return too.
///
/// # Panics
/// When there is none and `REQUIRE_NODE` is set: a machine that is to run these tests must not
/// skip them in silence.
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
        // Not `eprintln!`: the harness keeps that back when a test passes, and this one will.
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

/// Writes `script_source` to a file that everybody may read. With `include_str!` a test so brings
/// its script along, and runs also where the source tree cannot be read.
///
/// # Panics
/// When the file cannot be written.
#[track_caller]
pub fn node_program(script_source: &str) -> NodeScript {
    let dir = temp_dir();
    NodeScript { path: dir.write("script.js", script_source), _dir: dir }
}

impl NodeScript {
    /// Where the script is.
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
