//! Which files are read, and which paths find them.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    path::Path,
};

use arbtest::arbtest;
use ch06_reload::Files;
use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

/// A folder with these files; each contains its own name.
fn with(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for name in names {
        write(folder.path(), name);
    }
    folder
}

fn write(folder: &Path, name: impl AsRef<Path>) {
    let path = folder.join(&name);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, name.as_ref().as_os_str().as_bytes()).expect("a file");
}

#[track_caller]
fn read(folder: &TempDir) -> Files {
    Files::read(folder.path()).expect("the files can be read")
}

/// What is in the file that `path` finds.
fn found<'a>(files: &'a Files, path: &str) -> Option<&'a [u8]> {
    files.get(path).map(|file| &*file.bytes)
}

/// The line for a folder that cannot be read, without the path of the folder.
#[track_caller]
fn error(folder: &Path) -> String {
    let error = Files::read(folder).expect_err("it cannot be read").to_string();
    assert!(!error.contains(char::is_control), "one line: {error:?}");
    error.replace(&format!("{}", folder.display()), "FOLDER")
}

#[test]
fn a_path_finds_its_file() {
    let names =
        ["index.html", "a/index.html", "a/b.css", "a b+c", "é", "x%41", "d?e"];
    let folder = with(&names);
    let files = read(&folder);
    for (path, name) in [
        ("/", "index.html"),
        ("/?a=/../b%", "index.html"),
        ("/index.html", "index.html"),
        ("/a/", "a/index.html"),
        ("/a/?", "a/index.html"),
        ("/a/b.css?v=3", "a/b.css"),
        ("/%61/b%2Ecss", "a/b.css"),
        ("/a%20b+c", "a b+c"),
        ("/a b%2bc", "a b+c"),
        ("/%c3%A9", "é"),
        ("/é", "é"),
        ("/x%2541", "x%41"),
        ("/d%3Fe", "d?e"),
    ] {
        assert_eq!(found(&files, path), Some(name.as_bytes()), "{path}");
    }
}

#[test]
fn every_other_path_finds_nothing() {
    let folder = with(&["index.html", "a/b.css", "a/index.html", "xA"]);
    let files = read(&folder);
    for path in [
        "",
        "a/b.css",
        "*",
        "http://localhost/a/b.css",
        "?",
        "//",
        "/a",
        "/b.css",
        "/A/b.css",
        "/a/b.css/",
        "/a/b.css/.",
        "/a//b.css",
        "//a/b.css",
        "/./a/b.css",
        "/a/./b.css",
        "/a/../a/b.css",
        "/a/..",
        "/a/.",
        "/a/../",
        "/../index.html",
        "/%2e%2e/index.html",
        "/a/%2E/b.css",
        "/a%2Fb.css",
        "/a%2fb.css",
        "/%2F",
        "/a%5cb.css",
        "/a\\b.css",
        "/a/b.css%00",
        "/a/b.css\0",
        "/%00",
        "/a/b.css%",
        "/a/b.css%2",
        "/a/b.cs%7",
        "/a/b.cs%+73",
        "/a/b.cs%7x",
        "/a/b.cs%u0073",
        "/x%25",
        "/x%2541",
        "/a/b.css#c",
        "/a/b.css;v",
        "/\u{ff0e}\u{ff0e}/",
        "/%c0%ae%c0%ae/",
    ] {
        assert_eq!(found(&files, path), None, "{path}");
    }
    for path in ["", "/", "/index.html"] {
        assert_eq!(found(&Files::default(), path), None, "there are no files");
    }
}

#[test]
fn a_name_that_is_not_utf_8_is_found() {
    let folder = with(&[]);
    write(folder.path(), OsStr::from_bytes(b"\xff/\xfe.txt"));
    let files = read(&folder);
    assert_eq!(found(&files, "/%ff/%FE.txt"), Some(&b"\xff/\xfe.txt"[..]));
    let file = files.get("/%ff/%FE.txt").expect("the file");
    assert_eq!(file.content_type, "text/plain; charset=utf-8");
}

#[test]
fn hidden_and_special_files_are_not_read() {
    let folder =
        with(&["a", ".git/config", ".env", "b/.c", "d\\e", "..f", "g\\h/i"]);
    mkfifo(&folder.path().join("fifo"), Mode::S_IRWXU).expect("a FIFO");
    let _socket =
        UnixListener::bind(folder.path().join("socket")).expect("a socket");
    symlink("fifo", folder.path().join("to-fifo")).expect("a link");
    symlink(".env", folder.path().join("to-env")).expect("a link");
    symlink(".git", folder.path().join("to-git")).expect("a link");
    let files = read(&folder);
    assert_eq!(found(&files, "/a"), Some(&b"a"[..]));
    for path in [
        "/.git/config",
        "/%2egit/config",
        "/.env",
        "/b/.c",
        "/d\\e",
        "/d%5Ce",
        "/..f",
        "/g\\h/i",
        "/g%5ch/i",
        "/fifo",
        "/socket",
        "/to-fifo",
        "/to-env",
        "/to-git/config",
    ] {
        assert_eq!(found(&files, path), None, "{path}");
    }
}

#[test]
fn a_link_may_not_lead_out() {
    let outside = with(&["secret", "public-2/secret"]);
    fs::create_dir(outside.path().join("public")).expect("a folder");
    let folder = outside.path().join("public");
    for name in ["v1/a", "v2/a", "b"] {
        write(&folder, name);
    }
    for (target, name) in [
        ("v2", "current"),
        ("v1/../v2/a", "a"),
        ("current", "v1/nothing"),
        ("../b", "v1/b"),
        ("../public/b", "round"),
        ("..", "out"),
        ("../secret", "secret"),
        ("../public-2", "beside"),
        ("/", "root"),
        ("/dev/null", "null"),
        ("/dev/zero", "zero"),
        ("/etc/passwd", "v1/passwd"),
        ("/proc/self/environ", "environ"),
        ("b/c", "through-a-file"),
    ] {
        symlink(target, folder.join(name)).expect("a link");
    }
    symlink(folder.join("b"), folder.join("absolute")).expect("a link");
    let files = Files::read(&folder).expect("the files");
    for (path, name) in [
        ("/current/a", "v2/a"),
        ("/a", "v2/a"),
        ("/v1/b", "b"),
        ("/round", "b"),
        ("/absolute", "b"),
    ] {
        assert_eq!(found(&files, path), Some(name.as_bytes()), "{path}");
    }
    for path in [
        "/out/secret",
        "/out/b",
        "/secret",
        "/beside/secret",
        "/root/etc/passwd",
        "/null",
        "/zero",
        "/v1/passwd",
        "/environ",
        "/through-a-file",
        "/v1/nothing/a",
    ] {
        assert_eq!(found(&files, path), None, "{path}");
    }

    // The folder itself may be a link.
    let link = outside.path().join("link");
    symlink(&folder, &link).expect("a link");
    let files = Files::read(&link).expect("the files");
    assert_eq!(found(&files, "/b"), Some(&b"b"[..]));
}

#[test]
fn a_loop_of_links_ends() {
    let folder = with(&["a/x", "b/y"]);
    for (target, name) in [
        ("..", "a/up"),
        (".", "here"),
        ("../b", "a/b"),
        ("../a", "b/a"),
        ("self", "self"),
        ("two", "one"),
        ("one", "two"),
    ] {
        symlink(target, folder.path().join(name)).expect("a link");
    }
    let files = read(&folder);
    for (path, name) in
        [("/a/x", "a/x"), ("/b/y", "b/y"), ("/a/b/y", "b/y"), ("/b/a/x", "a/x")]
    {
        assert_eq!(found(&files, path), Some(name.as_bytes()), "{path}");
    }
    for path in ["/here/a/x", "/a/up/a/x", "/a/b/a/x", "/self", "/one"] {
        assert_eq!(found(&files, path), None, "{path}");
    }
}

/// Twelve folders, each with a link to each: too many ways to walk them all.
#[test]
fn too_many_files_are_an_error() {
    let folder = with(&[]);
    for from in 0..12 {
        let from = folder.path().join(from.to_string());
        fs::create_dir(&from).expect("a folder");
        for to in 0..12 {
            symlink(format!("../{to}"), from.join(to.to_string())).expect("a link");
        }
    }
    let line = error(folder.path());
    assert!(line.ends_with(": there are more than 10,000 files"), "{line}");

    let folder = with(&[]);
    let add = |from: usize, to: usize| {
        for name in from..to {
            fs::hard_link(
                folder.path().join("0"),
                folder.path().join(name.to_string()),
            )
            .expect("a link");
        }
    };
    write(folder.path(), "0");
    add(1, 10_000);
    assert_eq!(found(&read(&folder), "/9999"), Some(&b"0"[..]));
    add(10_000, 10_001);
    let line = error(folder.path());
    assert!(line.ends_with(": there are more than 10,000 files"), "{line}");
}

#[test]
fn too_many_bytes_are_an_error() {
    let folder = with(&["a/small"]);
    let big = fs::File::create(folder.path().join("big")).expect("a file");
    // A hole: it takes no room on the disk.
    big.set_len((64 << 20) - 7).expect("a length");
    assert_eq!(
        found(&read(&folder), "/big").map(<[u8]>::len),
        Some((64 << 20) - 7)
    );
    big.set_len((64 << 20) - 6).expect("a length");
    let line = error(folder.path());
    assert_eq!(
        line,
        "cannot read FOLDER/a/small: the files have more than 64 MiB in all"
    );
    big.set_len(1 << 40).expect("a length");
    let line = error(folder.path());
    assert_eq!(
        line,
        "cannot read FOLDER/big: the files have more than 64 MiB in all"
    );
}

#[test]
fn what_cannot_be_read_is_an_error() {
    let folder = with(&["file"]);
    let in_folder = |name: &str| folder.path().join(name);
    assert_eq!(
        error(&in_folder("no")),
        "cannot read FOLDER: No such file or directory"
    );
    assert_eq!(error(&in_folder("file")), "cannot read FOLDER: Not a directory");
    assert_eq!(
        error(Path::new("/dev/null")),
        "cannot read FOLDER: Not a directory"
    );
    let name = in_folder("\u{1b}\n");
    fs::write(&name, "").expect("a file");
    fs::set_permissions(&name, fs::Permissions::from_mode(0o000)).expect("a mode");
    // The superuser may read everything.
    if fs::read(&name).is_err() {
        let line = "cannot read FOLDER/\\u{1b}\\n: Permission denied";
        assert_eq!(error(folder.path()), line);
    }
    let folder = with(&["file"]);
    symlink("x".repeat(300), folder.path().join("link")).expect("a link");
    assert_eq!(error(folder.path()), "cannot read FOLDER/link: File name too long");
}

#[test]
fn the_name_tells_the_content_type() {
    for (name, content_type) in [
        ("a.html", "text/html; charset=utf-8"),
        ("a.css", "text/css; charset=utf-8"),
        ("a.js", "text/javascript; charset=utf-8"),
        ("a.mjs", "text/javascript; charset=utf-8"),
        ("a.txt", "text/plain; charset=utf-8"),
        ("a.json", "application/json"),
        ("a.svg", "image/svg+xml"),
        ("a.PNG", "image/png"),
        ("a.jpg", "image/jpeg"),
        ("a.jpeg", "image/jpeg"),
        ("a.webp", "image/webp"),
        ("a.ico", "image/x-icon"),
        ("a.woff2", "font/woff2"),
        ("a.pdf", "application/pdf"),
        ("a.tar.gz", "application/octet-stream"),
        ("html", "application/octet-stream"),
        ("a.", "application/octet-stream"),
    ] {
        let folder = with(&[name]);
        let files = read(&folder);
        let file = files.get(&format!("/{name}")).expect("the file");
        assert_eq!(file.content_type, content_type, "{name}");
    }
    // The name that the request has, not the name of what a link leads to.
    let folder = with(&["a.txt"]);
    symlink("a.txt", folder.path().join("a.css")).expect("a link");
    let files = read(&folder);
    let file = files.get("/a.css").expect("the file");
    assert_eq!(file.content_type, "text/css; charset=utf-8");
}

/// A file that is written and deleted meanwhile is there or not.
#[test]
fn a_file_may_vanish_meanwhile() {
    let folder = with(&["stays"]);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..60 {
                let name = format!("f{}/x", round % 5);
                write(folder.path(), &name);
                let parent = folder.path().join(&name[..2]);
                fs::remove_dir_all(&parent).expect("removed");
                // In turn a folder, a file and a FIFO.
                write(folder.path(), &name[..2]);
                fs::remove_file(&parent).expect("removed");
                mkfifo(&parent, Mode::S_IRWXU).expect("a FIFO");
                fs::remove_file(&parent).expect("removed");
            }
        });
        while !writer.is_finished() {
            match Files::read(folder.path()) {
                Ok(files) => assert!(files.get("/stays").is_some()),
                // It was a file, and is something else before it is opened.
                Err(error) => {
                    let line = error.to_string();
                    let became = ["not a regular file", "Is a directory"];
                    assert!(became.iter().any(|end| line.ends_with(end)), "{line}");
                }
            }
        }
    });
}

/// Pieces of paths.
const PIECES: &[&str] = &[
    "/",
    "..",
    ".",
    "a",
    "%",
    "2",
    "%2f",
    "%2e",
    "%5c",
    "\\",
    "%00",
    "\0",
    "?",
    "é",
    "secret",
    "index.html",
];

#[test]
fn no_path_finds_what_is_outside() {
    let outside =
        with(&["secret", "public/a", "public/index.html", "public/a.d/a"]);
    let files = Files::read(&outside.path().join("public")).expect("the files");
    arbtest(|u| {
        let mut path = String::from("/");
        for _ in 0..u.int_in_range(0..=8)? {
            path += u.choose(PIECES)?;
        }
        assert_ne!(found(&files, &path), Some(&b"secret"[..]), "{path}");
        Ok(())
    })
    .budget_ms(100);
}
