//! What your decoder has to do. `cargo test -p ex03-framing`

use std::fmt::Write as _;
use std::fs::File;
use std::time::Duration;

use testkit::{cpu_time, exercise, temp_dir, try_eventually};

/// The longest line that most of these tests allow, in bytes.
const LIMIT: &str = "1000";

/// Far more than a few pieces take, also on a busy machine.
const PLENTY: Duration = Duration::from_secs(5);

/// What your program says when a stream was whole.
const WHOLE: &str = "end: all is whole\n";

/// Feeds your decoder these pieces, and returns what your program says. `piece 2: "one"` is a line
/// that came out after the second piece had gone in.
#[track_caller]
fn decode(limit: &str, pieces: &[&[u8]]) -> String {
    let dir = temp_dir();
    let lines: String =
        pieces.iter().map(|piece| format!("{}\n", piece.escape_ascii())).collect();
    let input = File::open(dir.write("pieces", lines))
        .expect("a file that was just written");
    let program = exercise!().arg(limit).stdin(input).start();
    let ended = || program.try_wait().filter(|_| program.output_ended());
    let status = try_eventually(PLENTY, ended);
    let said = program.stdout();
    assert!(
        status.is_some_and(|status| status.success()),
        "your program should take all pieces, and end with code 0. It {}, and says:\n{}\n{}\nThe pieces \
         were:\n{}{}",
        status.map_or("still runs".to_owned(), |status| format!(
            "has ended with {status}"
        )),
        start_of(&said),
        program.stderr(),
        told(pieces),
        match said.len() {
            10_000.. =>
                "Why is there so much of it? `next_line` gives a line once, and then the next.",
            _ => "Where does it stop?",
        }
    );
    said
}

/// As much as somebody wants to read.
fn start_of(said: &str) -> String {
    said.chars().take(300).collect()
}

/// The pieces as a reader of a failure sees them.
fn told(pieces: &[&[u8]]) -> String {
    (1..).zip(pieces).fold(String::new(), |mut text, (number, piece)| {
        let _ =
            writeln!(text, "    piece {number} is b\"{}\"", piece.escape_ascii());
        text
    })
}

/// Compares what comes out with what should, and says `hint` where that differs.
#[track_caller]
fn check(limit: &str, pieces: &[&[u8]], expected: &str, hint: &str) {
    let said = decode(limit, pieces);
    assert!(
        said == expected,
        "the decoder gets these pieces, and the limit is {limit} bytes:\n{}it should yield:\n{expected}it \
         yields:\n{said}{hint}",
        told(pieces)
    );
}

#[test]
fn half_a_line_waits_for_the_rest() {
    check(
        LIMIT,
        &[b"he", b"l", b"", b"lo", b"\n", b"you\n"],
        &format!("piece 5: \"hello\"\npiece 6: \"you\"\n{WHOLE}"),
        "A piece is not a message. Where is half a line kept until its newline comes?",
    );
}

#[test]
fn lines_that_are_glued_come_one_by_one() {
    check(
        LIMIT,
        &[b"one\ntwo\nthr", b"ee\nfour\n"],
        &format!(
            "piece 1: \"one\"\npiece 1: \"two\"\npiece 2: \"three\"\npiece 2: \"four\"\n{WHOLE}"
        ),
        "A piece may have several newlines. What happens to the bytes behind the first one?",
    );
}

#[test]
fn the_same_lines_come_however_the_stream_is_cut() {
    let stream =
        "first\n\nthe third is longer\n\u{fc}\u{20ac}\u{1f980}\n5\n".as_bytes();
    let lines =
        ["first", "", "the third is longer", "\u{fc}\u{20ac}\u{1f980}", "5"];
    for size in [1, 2, 3, 4, 5, 7, 11, stream.len()] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let said = decode(LIMIT, &pieces);
        let came: Vec<&str> = said
            .lines()
            .filter_map(|line| Some(line.split_once(": ")?.1))
            .collect();
        let mut expected: Vec<String> =
            lines.iter().map(|line| format!("{line:?}")).collect();
        expected.push("all is whole".to_owned());
        assert_eq!(
            came, expected,
            "the same stream, cut into pieces of {size} bytes, should give the lines on the right. It \
             gives those on the left. Which piece is the first after which the decoder differs?\n{said}"
        );
    }
}

#[test]
fn a_character_that_is_cut_in_two_is_put_together() {
    check(
        LIMIT,
        &[b"caf\xC3", b"\xA9\n\xF0\x9F", b"\xA6\x80\n"],
        &format!("piece 2: \"caf\u{e9}\"\npiece 3: \"\u{1f980}\"\n{WHOLE}"),
        "A character of UTF-8 has up to four bytes, and a cut can go through it. Only a whole line is \
         sure to be text: when do your bytes become a String?",
    );
}

#[test]
fn a_line_that_is_not_text_costs_no_other() {
    check(
        LIMIT,
        &[b"good\nb\xFFd\ngood again\n"],
        &format!(
            "piece 1: \"good\"\npiece 1: NotText\npiece 1: \"good again\"\n{WHOLE}"
        ),
        "The byte 0xFF is never UTF-8. That is wrong with one line; what keeps the next from coming?",
    );
}

#[test]
fn only_the_newline_is_taken_away() {
    check(
        LIMIT,
        &[b"\n\n a \r\n", b"\n\t\n"],
        &format!(
            "piece 1: \"\"\npiece 1: \"\"\npiece 1: \" a \\r\"\npiece 2: \"\"\npiece 2: \"\\t\"\n{WHOLE}"
        ),
        "An empty line is a message too, and spaces and \\r are bytes like others. Who takes them away: \
         trim, or str::lines?",
    );
}

#[test]
fn a_line_that_is_too_long_ends_it() {
    check(
        "5",
        &[b"12345\n1234", b"5\n"],
        &format!("piece 1: \"12345\"\npiece 2: \"12345\"\n{WHOLE}"),
        "Five bytes are allowed, and the newline is not counted. Is the limit that of a line, or of all \
         that has come?",
    );
    check(
        "5",
        &[b"ok\n1234", b"56", b"7\nmore\n"],
        "piece 1: \"ok\"\npiece 2: TooLong\npiece 3: TooLong\nend: TooLong\n",
        "Somebody who never sends a newline would make you keep everything. So the error comes as soon as \
         the line is too long, and not with its newline; and then no line can be trusted any more. When is \
         the length looked at?",
    );
    check(
        "5",
        &[b"ok\n123456\nmore\n"],
        "piece 1: \"ok\"\npiece 1: TooLong\nend: TooLong\n",
        "The line before the one that is too long is good, and comes first. Nothing comes behind it. Is the \
         limit looked at for each line, also when its newline is there already?",
    );
}

#[test]
fn an_end_in_the_middle_of_a_line_is_an_error() {
    check(
        LIMIT,
        &[b"one\ntw"],
        "piece 1: \"one\"\nend: HalfLine\n",
        "The other side has closed in the middle of a message. Half a message must not be taken for a \
         whole one. What is left in the decoder when the stream ends?",
    );
    check(
        LIMIT,
        &[],
        WHOLE,
        "A stream that ends before its first byte has ended between two lines.",
    );
}

#[test]
fn a_long_line_in_single_bytes_is_quick() {
    const LENGTH: usize = 1_000_000;
    const MOST: Duration = Duration::from_secs(5);
    let dir = temp_dir();
    let line = format!("{}\n", "x".repeat(LENGTH));
    let input =
        File::open(dir.write("line", &line)).expect("a file that was just written");
    let program =
        exercise!().args([&LENGTH.to_string(), "--bytes"]).stdin(input).start();
    // Processor time, and not the clock: others may be using the machine.
    let mut used = Duration::ZERO;
    try_eventually(Duration::from_secs(20), || {
        used = used.max(cpu_time(program.pid()));
        (program.output_ended() || used > MOST).then_some(())
    });
    assert!(
        program.output_ended() && used <= MOST,
        "a line of {LENGTH} bytes comes in single bytes. To decode it should take a fraction of a second; \
         your program has used {used:?} of processor time by now. How often is each byte looked at? If the \
         search for a newline begins at the front each time, that is half a million times.",
    );
    let expected = format!("piece {}: {:?}\n{WHOLE}", LENGTH + 1, line.trim_end());
    let said = program.stdout();
    // Not with assert_eq: nobody wants to read that line.
    assert!(
        said == expected,
        "a line of {LENGTH} bytes comes in single bytes, and it should come out whole, after its newline. \
         Your program says {} bytes in {} lines:\n{}\n{}",
        said.len(),
        said.lines().count(),
        start_of(&said),
        program.stderr()
    );
}
