// ANCHOR: top
//! The static files: read once, when a worker starts, and then served from memory.

use std::{
    collections::HashMap,
    ffi::{OsStr, OsString},
    fs,
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use cli::reason;
use nix::{errno::Errno, fcntl::OFlag};
// ANCHOR_END: top

// ANCHOR: limits
/// The most bytes that the files of a folder may have in all: 64 MiB.
const MAX_BYTES: usize = 64 << 20;

/// The most files in a folder, the folders in it counted.
const MAX_ENTRIES: usize = 10_000;
// ANCHOR_END: limits

// ANCHOR: types
/// The files of a folder, in memory. The default is no file.
#[derive(Debug, Default)]
pub struct Files {
    /// The key is the decoded path of a request: `/css/site.css`. It is made of
    /// names that the folder has, so no key leads out of the folder.
    files: HashMap<Vec<u8>, File>,
}

/// A file.
#[derive(Debug, PartialEq, Eq)]
pub struct File {
    /// The value of the header field `Content-Type`, from the end of the name.
    pub content_type: &'static str,
    /// What is in the file.
    pub bytes: Vec<u8>,
}
// ANCHOR_END: types

impl Files {
    // ANCHOR: read
    /// Reads all regular files in and below `folder`.
    ///
    /// Left out: names that begin with a dot or contain a backslash, symbolic links
    /// that lead out of the folder, sockets, FIFOs and devices, and what is deleted
    /// meanwhile. A name that is not UTF-8 is read like any other. Blocks while it
    /// reads, but never on a FIFO or a device.
    ///
    /// # Errors
    /// One line that names the file: it cannot be read, or it is the one with which
    /// the folder has more than 64 MiB or 10,000 files, the folders in it counted.
    pub fn read(folder: &Path) -> io::Result<Files> {
        let root = folder
            .canonicalize()
            .and_then(|root| fs::read_dir(&root).map(|_| root))
            .map_err(|error| cannot_read(folder, &error))?;
        let mut walk = Walk::new(root);
        walk.run()?;
        Ok(Files { files: walk.files })
    }
    // ANCHOR_END: read

    // ANCHOR: get
    /// The file for the path of a request, such as `/css/site.css?v=3`. The query is
    /// ignored. A path that ends with a slash means the `index.html` below it.
    pub fn get(&self, request_path: &str) -> Option<&File> {
        let path = request_path.split('?').next()?;
        let mut key = decode(path)?;
        if key.ends_with(b"/") {
            key.extend(b"index.html");
        }
        self.files.get(&key)
    }
    // ANCHOR_END: get
}

// ANCHOR: decode
/// Replaces each `%` and two hexadecimal digits by the byte that they stand for.
/// `None` if the digits are missing, or stand for a slash: a slash separates names,
/// and is never a part of a name.
fn decode(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let escaped = u8::try_from(digit()? * 16 + digit()?).ok()?;
        if escaped == b'/' {
            return None;
        }
        decoded.push(escaped);
    }
    Some(decoded)
}
// ANCHOR_END: decode

// ANCHOR: walk
/// A walk through a folder and the folders in it.
struct Walk {
    /// The real path of the folder: the path without symbolic links.
    root: PathBuf,
    /// Folders that are not read yet.
    pending: Vec<Folder>,
    /// How many files and folders were found.
    entries: usize,
    /// How many bytes were read.
    bytes: usize,
    files: HashMap<Vec<u8>, File>,
}

/// A folder, and how the walk reached it.
struct Folder {
    /// The path of a request for this folder. It ends with a slash.
    key: Vec<u8>,
    /// The real paths of the folders above, and of this folder at the end.
    real_paths: Vec<PathBuf>,
}
// ANCHOR_END: walk

impl Walk {
    // ANCHOR: new
    fn new(root: PathBuf) -> Walk {
        let folder = Folder { key: b"/".into(), real_paths: vec![root.clone()] };
        let pending = vec![folder];
        Walk { root, pending, entries: 0, bytes: 0, files: HashMap::new() }
    }
    // ANCHOR_END: new

    // ANCHOR: run
    /// Reads folder by folder.
    fn run(&mut self) -> io::Result<()> {
        while let Some(folder) = self.pending.pop() {
            let path = &folder.real_paths[folder.real_paths.len() - 1];
            for name in unless_gone(path, public_names(path))?.unwrap_or_default() {
                let path = path.join(&name);
                unless_gone(&path, self.visit(&folder, &name, &path))?;
            }
        }
        Ok(())
    }
    // ANCHOR_END: run

    // ANCHOR: visit
    /// Reads the file at `path`, or remembers the folder there for later.
    fn visit(
        &mut self,
        parent: &Folder,
        name: &OsStr,
        path: &Path,
    ) -> io::Result<()> {
        // Symbolic links are followed here, and here only.
        let real_path = path.canonicalize()?;
        if !self.is_inside(&real_path) {
            return Ok(());
        }
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(io::Error::other("there are more than 10,000 files"));
        }
        let mut key = [&parent.key, name.as_bytes()].concat();
        let kind = fs::metadata(&real_path)?;
        // A link to a folder above would be a way without end: /a/link/link/link.
        if kind.is_dir() && !parent.real_paths.contains(&real_path) {
            key.push(b'/');
            let real_paths = [&parent.real_paths[..], &[real_path]].concat();
            self.pending.push(Folder { key, real_paths });
        } else if kind.is_file() {
            let bytes = self.read_file(&real_path)?;
            self.files
                .insert(key, File { content_type: content_type(name), bytes });
        }
        Ok(())
    }

    /// Whether a file is in the folder, and is not hidden there.
    fn is_inside(&self, real_path: &Path) -> bool {
        let below = real_path.strip_prefix(&self.root);
        below.is_ok_and(|below| below.iter().all(is_public))
    }
    // ANCHOR_END: visit

    // ANCHOR: read_file
    fn read_file(&mut self, real_path: &Path) -> io::Result<Vec<u8>> {
        let bytes = read_regular(real_path, MAX_BYTES - self.bytes + 1)?;
        self.bytes += bytes.len();
        if self.bytes > MAX_BYTES {
            return Err(io::Error::other("the files have more than 64 MiB in all"));
        }
        Ok(bytes)
    }
    // ANCHOR_END: read_file
}

// ANCHOR: names
/// The names in a folder that a request may ask for.
fn public_names(folder: &Path) -> io::Result<Vec<OsString>> {
    let names = fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name()));
    names
        .filter(|name| name.as_ref().map_or(true, |name| is_public(name)))
        .collect()
}

/// Names such as `.git` are hidden. A browser turns a backslash into a slash, so a
/// name with a backslash cannot be asked for.
fn is_public(name: &OsStr) -> bool {
    let name = name.as_bytes();
    !name.starts_with(b".") && !name.contains(&b'\\')
}
// ANCHOR_END: names

// ANCHOR: gone
/// `None`: the file was deleted meanwhile, or it is a symbolic link to no file or to
/// itself. Such a file is left out; every other error ends the walk.
fn unless_gone<T>(path: &Path, result: io::Result<T>) -> io::Result<Option<T>> {
    let Err(error) = result else { return result.map(Some) };
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        _ => Err(cannot_read(path, &error)),
    }
}
// ANCHOR_END: gone

// ANCHOR: read_regular
/// Reads a file, but at most its first `most` bytes. A FIFO or a device is an error:
/// to read from it could block, or never end.
pub(crate) fn read_regular(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    // Before open(2), which has effects on some devices.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    // It may be a FIFO by now: with O_NONBLOCK, neither open nor read blocks.
    let mut options = fs::OpenOptions::new();
    options.read(true).custom_flags(OFlag::O_NONBLOCK.bits());
    let mut bytes = Vec::new();
    options.open(path)?.take(most as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}
// ANCHOR_END: read_regular

// ANCHOR: cannot_read
/// The error with the file's name before it, on one line.
pub(crate) fn cannot_read(path: &Path, error: &io::Error) -> io::Error {
    let line = format!("cannot read {}: {}", path.display(), reason(error));
    io::Error::new(error.kind(), one_line(&line))
}

/// Escapes line breaks, and all else in a text that a terminal would not print.
pub(crate) fn one_line(text: &str) -> String {
    let escape = |char: char| match char {
        '"' | '\'' | '\\' => char.to_string(),
        _ => char.escape_debug().to_string(),
    };
    text.chars().map(escape).collect()
}
// ANCHOR_END: cannot_read

// ANCHOR: content_type
/// The media type, from the end of the name.
fn content_type(name: &OsStr) -> &'static str {
    let extension = Path::new(name).extension().unwrap_or_default();
    let extension = extension.to_ascii_lowercase();
    match extension.to_str().unwrap_or_default() {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "pdf" => "application/pdf",
        _ => "application/octet-stream",
    }
}
// ANCHOR_END: content_type
