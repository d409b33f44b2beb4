//! Files and programs, with errors that say what could not be done.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// Reads a text file.
pub fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path)
        .with_context(|| format!("cannot read {}", path.display()))
}

/// Writes a text file.
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> anyhow::Result<()> {
    fs::write(path, text)
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Makes a folder, and those above it.
pub fn make_folder(path: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(path)
        .with_context(|| format!("cannot create {}", path.display()))
}

/// Copies a file, or a folder with everything in it, if it exists. Symbolic links are left
/// out.
pub fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let Ok(kind) = fs::symlink_metadata(from) else { return Ok(()) };
    if kind.is_dir() {
        make_folder(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name))?;
        }
    } else if kind.is_file() {
        make_folder(to.parent().unwrap_or(Path::new(".")))?;
        fs::copy(from, to)
            .with_context(|| format!("cannot copy {}", from.display()))?;
    }
    Ok(())
}

/// Runs a program and returns what it prints on standard output.
///
/// # Errors
/// If it cannot be started or fails. The error has what it prints on standard error.
pub fn run(command: &mut Command) -> anyhow::Result<Vec<u8>> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {name}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{command:?} failed: {}", said.trim_end());
    }
    Ok(output.stdout)
}
