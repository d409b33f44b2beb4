//! What the lab makes of lines that strace has printed: `golden/NAME.strace` becomes
//! `golden/NAME.events`. With `UPDATE_GOLDEN` set, the events are written, and not compared.

use std::{env, fs, path::Path};

use lab::{
    event::{Event, Level},
    model::Model,
};

/// The events of a story, and all that changes something; a line of JSON for each.
fn events_of(lines: &str) -> String {
    let mut model = Model::new();
    for line in lines.lines() {
        model.line(line);
    }
    assert_eq!(model.odd(), 0, "lines were not understood");
    let is_kept = |it: &Event| {
        it.level <= Level::Story || !it.changes.is_empty() || !it.gone.is_empty()
    };
    let events = model.take_events().into_iter().filter(is_kept);
    let events = events.map(|it| Event { raw: String::new(), ..it });
    let lines = events.map(|it| serde_json::to_string(&it).expect("JSON") + "\n");
    lines.collect()
}

#[test]
fn the_events_are_those_that_were_read_and_found_right() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|it| it != "strace") {
            continue;
        }
        let lines = fs::read(&path).expect("a file");
        let found = events_of(&String::from_utf8_lossy(&lines));
        let golden = path.with_extension("events");
        if env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &found).expect("write the events");
        }
        let wanted = fs::read_to_string(&golden).unwrap_or_default();
        let mut pairs = found.lines().zip(wanted.lines()).enumerate();
        let differs = pairs.find(|(_, (found, wanted))| found != wanted);
        assert_eq!(differs, None, "{}", path.display());
        assert_eq!(
            found.lines().count(),
            wanted.lines().count(),
            "{}",
            path.display()
        );
        count += 1;
    }
    assert_eq!(count, 6, "three programs, two versions of strace");
}

/// However a line is cut, it is no panic. Lines come from a pipe, and can end anywhere.
#[test]
fn no_line_is_a_panic() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/hostile-6.1.strace");
    let lines =
        String::from_utf8_lossy(&fs::read(path).expect("a file")).into_owned();
    let mut model = Model::new();
    for (number, line) in lines.lines().enumerate() {
        let cut = (number * 7) % (line.len() + 1);
        let end =
            (0..=cut).rev().find(|it| line.is_char_boundary(*it)).unwrap_or(0);
        model.line(&line[..end]);
        model.partial(&line[..end]);
        model.line(line);
    }
    assert!(model.take_events().len() > 100);
}
