//! Temporary directories.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A directory that is removed, with all that is in it, when this is dropped.
#[derive(Debug)]
pub struct TempDir(tempfile::TempDir);

/// Makes an empty directory under the system's directory for temporary files.
/// Unlike one of `tempfile` it is readable for every user: a program may run as
/// another one.
///
/// # Panics
/// If it cannot be made.
#[track_caller]
pub fn temp_dir() -> TempDir {
    let made = tempfile::Builder::new().prefix("testkit-").tempdir();
    let dir =
        TempDir(made.unwrap_or_else(|e| panic!("cannot make a directory: {e}")));
    allow(dir.path(), 0o755).expect("to change the mode of our own directory");
    dir
}

impl TempDir {
    /// Its path.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that every user may read, and returns its path.
    ///
    /// # Panics
    /// If it cannot be written.
    #[track_caller]
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        let written = fs::write(&path, contents);
        let written = written.and_then(|()| match allow(&path, 0o644) {
            // A program that waits for this file may have removed it at once.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        });
        written.unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        self.path()
    }
}

/// Sets the mode after the file was made, so that the umask has no say.
fn allow(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, Permissions::from_mode(mode))
}
