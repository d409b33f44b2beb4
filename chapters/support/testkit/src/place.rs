//! Places that a test has to itself: a directory, a port.

use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock;
use crate::spawn::FORKING;

/// A directory that is removed, with all that is in it, when this is dropped.
#[derive(Debug)]
pub struct TempDir {
    path: PathBuf,
}

/// Makes an empty directory under the system's place for temporary files. Everybody may read it.
///
/// # Panics
/// When it cannot be made.
#[track_caller]
pub fn temp_dir() -> TempDir {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    loop {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("testkit-{}-{count}", std::process::id());
        let path = std::env::temp_dir().join(name);
        match fs::create_dir(&path) {
            Ok(()) => {
                let dir = TempDir { path };
                // Whatever the umask is: the program may run as another user.
                fs::set_permissions(dir.path(), Permissions::from_mode(0o755))
                    .expect("chmod");
                return dir;
            }
            // Left by a test process that was killed and had our number.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => panic!("cannot make {}: {e}", path.display()),
        }
    }
}

impl TempDir {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a file that everybody may read, and returns where it is.
    ///
    /// # Panics
    /// When it cannot be written.
    #[track_caller]
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, contents)
            .and_then(|()| {
                fs::set_permissions(&path, Permissions::from_mode(0o644))
            })
            .unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        path
    }
}

impl AsRef<Path> for TempDir {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// A TCP port on 127.0.0.1 that nobody listened on a moment ago. Another test may take it next:
/// where the program can choose, let it (`--port 0`).
///
/// # Panics
/// When there is none.
#[track_caller]
pub fn free_port() -> u16 {
    let _alone = lock(&FORKING);
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("the address of a listener").port()
}

/// Whether a new server could listen on it. std sets `SO_REUSEADDR`, as the programs do, so
/// connections in TIME_WAIT do not count: only another listener does.
pub(crate) fn port_is_free(port: u16) -> bool {
    let _alone = lock(&FORKING);
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}
