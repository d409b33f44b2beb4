//! What a configuration file may say, and the line for each mistake in it.

use std::{
    ffi::OsStr,
    fs,
    os::unix::ffi::OsStrExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use arbtest::arbtest;
use ch06_reload::Config;
use nix::{sys::stat::Mode, unistd::mkfifo};
use tempfile::TempDir;

const COMPLETE: &str = r#"
workers = 2
greeting = "hello"
folder = "public"
[limits]
start = 20
alive = 2.5
crashes = 5
crash_time = 30
"#;

/// A folder with `site.toml`, and beside it the folder `public` and the file `page`.
fn with(bytes: &[u8]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("public")).expect("a folder in it");
    fs::write(folder.path().join("page"), "").expect("a file in it");
    let path = folder.path().join("site.toml");
    fs::write(&path, bytes).expect("another file in it");
    (folder, path)
}

#[track_caller]
fn good(text: &str) -> Config {
    let (_folder, path) = with(text.as_bytes());
    match Config::read(&path) {
        Ok(config) => config,
        Err(error) => panic!("{text:?} is right, but: {error}"),
    }
}

/// The line for a wrong file, without the path of the folder.
#[track_caller]
fn bad(bytes: impl AsRef<[u8]>) -> String {
    let (folder, path) = with(bytes.as_ref());
    let error = match Config::read(&path) {
        Err(error) => error.to_string(),
        Ok(config) => panic!("it is wrong, but gives {config:?}"),
    };
    error.replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn an_empty_file_means_the_defaults() {
    let default = Config::default();
    assert!((1..=1024).contains(&default.workers));
    for text in ["", "\n", "# a comment", "\u{feff}", "[limits]", "\r\n \t\r\n"] {
        assert_eq!(good(text), default, "{text:?}");
    }
}

#[test]
fn every_key_is_read() {
    let (folder, path) = with(b"");
    let expected = Config {
        workers: 2,
        greeting: "hello".to_owned(),
        folder: Some(folder.path().canonicalize().expect("a path").join("public")),
        start_limit: Duration::from_secs(20),
        alive_limit: Duration::from_millis(2500),
        crashes: 5,
        crash_time: Duration::from_secs(30),
    };
    for text in [
        COMPLETE.to_owned(),
        COMPLETE.replace('\n', "\r\n"),
        format!("\u{feff}{COMPLETE}"),
        COMPLETE.replace(" = ", "\t=\t"),
        COMPLETE.replace("public", "./page/../public/").replace("page/../", ""),
        COMPLETE.replace("= 20", "= 0x14").replace("2.5", "25e-1"),
        COMPLETE
            .replace("[limits]\n", "")
            .replace("start", "limits.start")
            .replace("alive", "limits.'alive'")
            .replace("crash", "limits.crash"),
    ] {
        fs::write(&path, &text).expect("write");
        assert_eq!(Config::read(&path).as_ref(), Ok(&expected), "{text:?}");
    }
}

#[test]
fn the_ends_of_a_range_are_in_it() {
    assert_eq!(good("workers = 1").workers, 1);
    assert_eq!(good("workers = 1_024").workers, 1024);
    assert_eq!(good("limits.start = 0.1").start_limit, Duration::from_millis(100));
    assert_eq!(good("limits.alive = 3600").alive_limit, Duration::from_secs(3600));
    let longest = "x".repeat(16 << 10);
    assert_eq!(good(&format!("greeting = '{longest}'")).greeting, longest);
    assert_eq!(good("greeting = ''").greeting, "");
    assert_eq!(good("greeting = \"a\\n\\u0001\"").greeting, "a\n\u{1}");
}

#[test]
fn a_wrong_number_has_its_line() {
    for (text, line) in [
        ("\n\nworkers = 0", "3:11: workers: 0 is not between 1 and 1024"),
        ("workers = -1", "1:11: workers: -1 is not between 1 and 1024"),
        ("workers = 1_025", "1:11: workers: 1_025 is not between 1 and 1024"),
        ("workers = 0xFFF", "1:11: workers: 0xFFF is not between 1 and 1024"),
        ("workers = \"2\"", "1:11: workers: \"2\" is not a whole number"),
        ("workers = 2.0", "1:11: workers: 2.0 is not a whole number"),
        ("workers = [\n2]", "1:11: workers: [\\n2] is not a whole number"),
        ("[workers]", "1:1: workers: [workers] is not a whole number"),
        ("limits.start = '1'", "1:16: limits.start: '1' is not a number"),
        ("limits.start = true", "1:16: limits.start: true is not a number"),
    ] {
        assert_eq!(bad(text), format!("site.toml:{line}"), "{text:?}");
    }
    assert_eq!(
        bad("limits.start = 30.1"),
        "site.toml:1:16: limits.start: 30.1 is not between 0.1 and 30"
    );
    for number in ["0", "0.09", "3600.1", "-1", "nan", "+nan", "-inf", "1e400"] {
        assert_eq!(
            bad(format!("[limits]\n alive = {number}")),
            format!(
                "site.toml:2:10: limits.alive: {number} is not between 0.1 and 3600"
            ),
        );
    }
    let long = "9".repeat(100_000);
    for key in ["workers", "limits.start"] {
        let line = bad(format!("{key} = {long}"));
        assert!(line.contains("99… is not between"), "{line}");
        assert!(line.len() < 120, "{line}");
    }
}

#[test]
fn a_wrong_text_has_its_line() {
    for (text, line) in [
        ("greeting = 5", "1:12: greeting: 5 is not a string"),
        (
            "greeting = \"a\\u0000\"",
            "1:12: greeting: it contains the character NUL",
        ),
        ("folder = true", "1:10: folder: true is not a string"),
        ("folder = \"a\\u0000\"", "1:10: folder: it contains the character NUL"),
        ("folder = ''", "1:10: folder: '' is not a path"),
        ("folder = 'page'", "1:10: folder: cannot read page: Not a directory"),
        (
            "folder = 'no'",
            "1:10: folder: cannot read no: No such file or directory",
        ),
        (
            "folder = \"a\\n\\u001b\\u202e\"",
            "1:10: folder: cannot read a\\n\\u{1b}\\u{202e}: No such file or directory",
        ),
    ] {
        assert_eq!(bad(text), format!("site.toml:{line}"), "{text:?}");
    }
    for (key, most) in [("greeting", 16 << 10), ("folder", 4 << 10)] {
        let line = bad(format!("{key} = '{}'", "x".repeat(most + 1)));
        assert!(
            line.ends_with(&format!(": it is longer than {most} bytes")),
            "{line}"
        );
    }
}

#[test]
fn a_wrong_key_has_its_line() {
    let keys = "there are workers, greeting, folder, limits";
    for (text, line) in [
        ("worker = 2", format!("1:1: worker: unknown key; {keys}")),
        ("\"a\\nb\" = 2", format!("1:1: a\\nb: unknown key; {keys}")),
        ("'limits.start' = 2", format!("1:1: limits.start: unknown key; {keys}")),
    ] {
        assert_eq!(bad(text), format!("site.toml:{line}"), "{text:?}");
    }
    for (text, line) in [
        (
            "[limits]\n stop = 2",
            "2:2: limits.stop: unknown key; there are start, alive, crashes, crash_time",
        ),
        (
            "limits.a.b = 2",
            "1:8: limits.a: unknown key; there are start, alive, crashes, crash_time",
        ),
        ("limits = 7", "1:10: limits: 7 is not a table"),
        ("[[limits]]", "1:1: limits: [[limits]] is not a table"),
        ("workers = 1\nworkers = 2", "2:1: duplicate key"),
        ("[limits]\nstart = 1\nstart = 1", "3:1: duplicate key"),
        ("[limits]\n[limits]", "2:2: duplicate key"),
        // The first mistake in the file counts.
        ("workers = 0\nfolder = 1", "1:11: workers: 0 is not between 1 and 1024"),
    ] {
        assert_eq!(bad(text), format!("site.toml:{line}"), "{text:?}");
    }
    let line = bad(format!("{} = 2", "k".repeat(100_000)));
    assert!(line.contains("kk…: unknown key") && line.len() < 140, "{line}");
}

/// The words are those of the crate `toml`; the position is checked here.
#[test]
fn a_syntax_error_has_its_line() {
    for (text, position) in [
        ("workers", "1:8: key with no value"),
        ("\n workers = \n", "2:12: "),
        ("greeting = \"a", "1:14: "),
        ("greeting = 'a\nworkers = 1\n'", "1:14: "),
        ("greeting = \"\u{1}\"", "1:13: "),
        ("greeting = \"\\q\"", "1:14: "),
        ("greeting = '''\n\n", "3:1: "),
        ("[limits", "1:8: unclosed table"),
        ("workers = 2 2", "1:11: "),
        ("workers = 02", "1:11: unexpected leading zero"),
        ("workers = 1\r", "1:13: carriage return must be followed by newline"),
        ("= 2", "1:1: unquoted keys cannot be empty"),
        // The first mistake in the file counts, whatever the parser finds first.
        ("workers = 02\nfolder", "1:11: "),
        ("folder\nworkers = 02", "1:7: "),
    ] {
        let line = bad(text);
        assert!(
            line.starts_with(&format!("site.toml:{position}")),
            "{text:?}: {line}"
        );
    }
}

#[test]
fn a_column_counts_characters() {
    for (text, position) in [
        ("\u{feff}workers = 0", "1:11"),
        ("\u{feff}\nworkers = 0", "2:11"),
        ("\r\nworkers\t=\t0\r\n", "2:11"),
        ("limits = { 'start' = 1, \"alive\" = 0 }", "1:35"),
        ("limits = { start = '\u{e9}\u{1f600}', alive = 1 }", "1:20"),
        ("greeting = '\u{e9}\u{1f600}' '", "1:17"),
    ] {
        let line = bad(text);
        assert!(line.starts_with(&format!("site.toml:{position}: ")), "{line}");
    }
    let not_utf_8 = "the text is not UTF-8";
    for (bytes, position) in [
        (&b"greeting = '\xc3\xa9\xff'"[..], "1:14"),
        (b"# \xe2\x82", "1:3"),
        (b"\xff\xfew\0", "1:1"),
        (b"\n\n\xef\xbb", "3:1"),
    ] {
        assert_eq!(bad(bytes), format!("site.toml:{position}: {not_utf_8}"));
    }
}

/// The line for a file that cannot be read.
#[track_caller]
fn unreadable(path: impl AsRef<Path>) -> String {
    Config::read(path.as_ref()).expect_err("it cannot be read").to_string()
}

#[test]
fn a_file_that_cannot_be_read_has_its_line() {
    let (folder, path) = with(b"");
    let in_folder = |name: &str| folder.path().join(name);
    mkfifo(&in_folder("fifo"), Mode::S_IRWXU).expect("a FIFO");
    for (path, why) in [
        (PathBuf::from("missing.toml"), "No such file or directory"),
        (PathBuf::new(), "No such file or directory"),
        (in_folder("page/x"), "Not a directory"),
        (in_folder("public"), "it is not a regular file"),
        (in_folder("fifo"), "it is not a regular file"),
        ("/dev/zero".into(), "it is not a regular file"),
        ("/dev/null".into(), "it is not a regular file"),
        // It can be opened, but there is nothing at its beginning.
        ("/proc/self/mem".into(), "Input/output error"),
    ] {
        let line = format!("cannot read {}: {why}", path.display());
        assert_eq!(unreadable(&path), line);
    }
    assert_eq!(
        unreadable(OsStr::from_bytes(b"a\nb\xff\x1b")),
        "cannot read a\\nb\u{fffd}\\u{1b}: No such file or directory"
    );

    fs::write(&path, " ".repeat(1 << 20)).expect("write");
    assert_eq!(Config::read(&path), Ok(Config::default()));
    fs::write(&path, " ".repeat((1 << 20) + 1)).expect("write");
    assert!(unreadable(&path).ends_with("site.toml: it is larger than 1 MiB"));
}

#[test]
fn it_goes_to_the_worker_as_one_argument() {
    let worst = format!("greeting = \"{}\"", "\\u0001".repeat(16 << 10));
    for text in ["", "greeting = \"a\\n\\\"\"", "limits.alive = 0.3", &worst] {
        let config = good(text);
        let json = serde_json::to_string(&config).expect("JSON");
        assert!(json.len() + 6 * 4096 < 128 << 10, "{} bytes", json.len());
        assert_eq!(
            serde_json::from_str::<Config>(&json).expect("the same"),
            config
        );
    }
}

#[test]
fn a_folder_whose_path_is_not_utf_8_has_its_line() {
    let (folder, _) = with(b"");
    let below = folder.path().join(OsStr::from_bytes(b"\xff"));
    fs::create_dir(&below).expect("a folder");
    fs::write(below.join("site.toml"), "folder = '.'").expect("write");
    let line = unreadable(below.join("site.toml"));
    assert!(line.ends_with("\u{fffd} is not UTF-8"), "{line}");
}

/// Pieces from which a file is put together, right or wrong.
const PIECES: &[&str] = &[
    "workers",
    "greeting",
    "folder",
    "limits",
    "start",
    "alive",
    "'public'",
    "'x'",
    "\"",
    "'''",
    "=",
    " = ",
    ".",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    ",",
    "\n",
    "\r\n",
    "\r",
    "\t",
    "\u{feff}",
    "\0",
    "\u{e9}",
    "\u{2028}",
    "#",
    "\\u0000",
    "\\",
    "0",
    "7",
    "-",
    "+",
    "_",
    "0x",
    "1e9",
    "nan",
    "inf",
    "true",
    "1979-05-27",
    ":",
];

#[test]
fn every_text_gives_a_configuration_or_one_line() {
    let (_folder, path) = with(b"");
    let mut counts = [0, 0];
    arbtest(|u| {
        let mut bytes = Vec::new();
        if u.ratio(1, 2)? {
            bytes.extend(COMPLETE.as_bytes());
        }
        for _ in 0..u.int_in_range(1..=12)? {
            let at = u.int_in_range(0..=bytes.len())?;
            let end = u.int_in_range(at..=bytes.len().min(at + 3))?;
            let random = [u.arbitrary()?];
            let piece = match u.ratio(9, 10)? {
                true => u.choose(PIECES)?.as_bytes(),
                false => &random,
            };
            bytes.splice(at..end, piece.iter().copied());
        }
        fs::write(&path, &bytes).expect("write");
        let read = Config::read(&path);
        counts[usize::from(read.is_err())] += 1;
        if let Err(error) = read {
            let line = error.to_string();
            let text = String::from_utf8_lossy(&bytes);
            assert!(!line.contains(char::is_control), "{text:?}: {line:?}");
            assert!(!line.is_empty() && line.len() < 1000, "{text:?}: {line:?}");
        }
        Ok(())
    })
    .budget_ms(300);
    assert!(counts[1] > 0, "some texts are wrong: {counts:?}");
}

#[test]
fn a_deep_or_long_text_is_one_line() {
    for text in [
        format!("a = {}", "[".repeat(50_000)),
        format!("a = {}", "{a=".repeat(50_000)),
        format!("{}a = 1", "a.".repeat(50_000)),
        format!("[{}a]", "a.".repeat(50_000)),
        "\n".repeat(100_000) + "x",
        "[[a]]\n".repeat(20_000),
    ] {
        let line = bad(&text);
        assert!(!line.contains(char::is_control) && line.len() < 300, "{line:?}");
    }
}
