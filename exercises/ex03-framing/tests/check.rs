//! What your decoder has to do. `cargo test -p ex03-framing`

use std::fmt::Write as _;
use std::fs::File;
use std::time::Duration;

use testkit::{cpu_time, exercise, temp_dir, try_eventually};

/// The longest text that most of these tests allow, in bytes.
const LIMIT: &str = "1000";

/// Far more time than a few pieces take, even on a busy machine.
const PLENTY: Duration = Duration::from_secs(5);

/// The most processor time that a long stream may take.
const MOST: Duration = Duration::from_secs(5);

/// What your program says when a stream was whole.
const WHOLE: &str = "end: all is whole\n";

/// A frame with this text.
fn frame(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    [&(text.len() as u32).to_be_bytes(), text].concat()
}

/// Gives your decoder these pieces, and returns what your program says. `piece 2: "one"` is
/// a frame that was returned after the second piece.
#[track_caller]
fn decode(limit: &str, pieces: &[&[u8]]) -> String {
    let dir = temp_dir();
    let lines: String =
        pieces.iter().map(|piece| format!("{}\n", piece.escape_ascii())).collect();
    let input = File::open(dir.write("pieces", lines)).expect("just written");
    let program = exercise!().arg(limit).stdin(input).start();
    let ended = || program.try_wait().filter(|_| program.output_ended());
    let status = try_eventually(PLENTY, ended);
    let said = program.stdout();
    assert!(
        status.is_some_and(|status| status.success()),
        "your program should take all pieces, and exit with code 0 within {PLENTY:?}. It {}, \
         and says:\n{}\n{}\nThe pieces were:\n{}{}",
        status.map_or("still runs".to_owned(), |status| format!("ended: {status}")),
        start_of(&said),
        program.stderr(),
        told(pieces),
        match said.len() {
            10_000.. =>
                "Why is there so much of it? `next_frame` returns a frame once, and then the \
                 next one.",
            _ => "Where does it stop?",
        }
    );
    said
}

/// As much as one wants to read.
fn start_of(said: &str) -> String {
    said.chars().take(300).collect()
}

/// The pieces, as a failure shows them.
fn told(pieces: &[&[u8]]) -> String {
    (1..).zip(pieces).fold(String::new(), |mut text, (number, piece)| {
        let _ =
            writeln!(text, "    piece {number} is b\"{}\"", piece.escape_ascii());
        text
    })
}

/// Compares what your program says with what it should say. Adds `hint` if that differs.
#[track_caller]
fn check(limit: &str, pieces: &[&[u8]], expected: &str, hint: &str) {
    let said = decode(limit, pieces);
    assert!(
        said == expected,
        "the decoder is given these pieces, and the limit is {limit} bytes:\n{}your program \
         should say:\n{expected}and it says:\n{said}{hint}",
        told(pieces)
    );
}

#[test]
fn a_frame_is_its_length_and_its_text() {
    check(
        LIMIT,
        &[&frame("hello"), &frame("you")],
        &format!("piece 1: \"hello\"\npiece 2: \"you\"\n{WHOLE}"),
        "The first four bytes of a frame are its length, the most significant byte first. The \
         text has so many bytes.",
    );
    let text = "x".repeat(258);
    check(
        LIMIT,
        &[&frame(&text)],
        &format!("piece 1: {text:?}\n{WHOLE}"),
        "The four bytes of this length are 0, 0, 1 and 2, which is 258: the most significant \
         byte is the first. How do you make a number of them?",
    );
}

#[test]
fn half_a_frame_waits_for_the_rest() {
    check(
        LIMIT,
        &[b"\0\0", b"\0", b"\x05he", b"", b"l", b"lo\0\0\0\x03y", b"ou"],
        &format!(
            "piece 1: no frame\npiece 2: no frame\npiece 3: no frame\npiece 4: no frame\n\
             piece 5: no frame\npiece 6: \"hello\"\npiece 7: \"you\"\n{WHOLE}"
        ),
        "A piece is not a message, and not even the length arrives whole. Where is half a \
         frame kept until its rest arrives?",
    );
}

#[test]
fn frames_that_arrive_together_are_returned_one_by_one() {
    let together = [frame("one"), frame("two"), frame("three")].concat();
    let (first, second) = together.split_at(together.len() - 2);
    check(
        LIMIT,
        &[first, &[second, &frame("four")].concat()],
        &format!(
            "piece 1: \"one\"\npiece 1: \"two\"\npiece 2: \"three\"\npiece 2: \"four\"\n{WHOLE}"
        ),
        "A piece may have several frames. What happens to the bytes behind the first one?",
    );
}

#[test]
fn the_same_frames_are_returned_wherever_the_stream_is_cut() {
    let texts =
        ["first", "", "the third is longer", "\u{fc}\u{20ac}\u{1f980}", "5"];
    let stream = texts.map(frame).concat();
    for size in [1, 2, 3, 4, 5, 7, 11, stream.len()] {
        let pieces: Vec<&[u8]> = stream.chunks(size).collect();
        let said = decode(LIMIT, &pieces);
        let returned: Vec<&str> = said
            .lines()
            .filter_map(|line| Some(line.split_once(": ")?.1))
            .filter(|what| *what != "no frame")
            .collect();
        let mut expected: Vec<String> =
            texts.iter().map(|text| format!("{text:?}")).collect();
        expected.push("all is whole".to_owned());
        assert_eq!(
            returned, expected,
            "the same stream, cut into pieces of {size} bytes, should give the texts on the \
             right. It gives those on the left. After which piece does the decoder differ \
             first?\n{said}"
        );
    }
}

#[test]
fn a_character_that_is_cut_in_two_is_put_together() {
    check(
        LIMIT,
        &[b"\0\0\0\x05caf\xC3", b"\xA9\0\0\0\x04\xF0\x9F", b"\xA6\x80"],
        &format!(
            "piece 1: no frame\npiece 2: \"caf\u{e9}\"\npiece 3: \"\u{1f980}\"\n{WHOLE}"
        ),
        "A character of UTF-8 has up to four bytes, and the stream may be cut in the middle. \
         Only a whole frame is sure to be text: when do your bytes become a String?",
    );
}

#[test]
fn a_text_that_is_not_utf_8_does_not_affect_the_next() {
    check(
        LIMIT,
        &[&[frame("good"), frame(b"b\xFFd"), frame("good again")].concat()],
        &format!(
            "piece 1: \"good\"\npiece 1: NotText\npiece 1: \"good again\"\n{WHOLE}"
        ),
        "The byte 0xFF is never UTF-8. That is wrong with one frame; what keeps the next one \
         from being returned?",
    );
}

#[test]
fn a_frame_may_be_empty_and_hold_any_character() {
    check(
        LIMIT,
        &[&[frame(""), frame(" a\n\r\n"), frame("\0\0")].concat(), &frame("")],
        &format!(
            "piece 1: \"\"\npiece 1: \" a\\n\\r\\n\"\npiece 1: \"\\0\\0\"\npiece 2: \"\"\n{WHOLE}"
        ),
        "An empty frame is a message too, and newlines, spaces and zeros are bytes like \
         others: only the length says where a text ends.",
    );
}

#[test]
fn a_length_over_the_limit_is_an_error_at_once_and_for_ever() {
    check(
        "5",
        &[&frame("12345"), &frame("12345")],
        &format!("piece 1: \"12345\"\npiece 2: \"12345\"\n{WHOLE}"),
        "Five bytes are allowed. Is the limit that of one text, without its four bytes of \
         length?",
    );
    check(
        "5",
        &[&frame("ok"), b"\0\0\0", b"\x06", b"123456", &frame("more")],
        "piece 1: \"ok\"\npiece 2: no frame\npiece 3: TooLong\npiece 4: TooLong\n\
         piece 5: TooLong\nend: TooLong\n",
        "A peer could announce four gigabytes, and make you keep all of them. So the error \
         comes with the length, before any byte of the text; and after it the position of the \
         next frame is unknown. When is the limit looked at?",
    );
    check(
        "5",
        &[&[frame("ok"), frame("123456"), frame("more")].concat()],
        "piece 1: \"ok\"\npiece 1: TooLong\nend: TooLong\n",
        "The frame before the one that is too long is good, and comes first. Nothing comes \
         after it. Is the limit looked at for each frame, even if the whole frame has arrived?",
    );
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_an_error() {
    for half in [&b"\0\0"[..], b"\0\0\0\x02", b"\0\0\0\x02t"] {
        check(
            LIMIT,
            &[&frame("one"), half],
            "piece 1: \"one\"\npiece 2: no frame\nend: HalfFrame\n",
            "The peer has closed the stream in the middle of a frame, perhaps in the middle of \
             its length. Half a message must not be taken for a whole one. What is left in the \
             decoder when the stream ends?",
        );
    }
    check(
        LIMIT,
        &[],
        WHOLE,
        "A stream that ends before its first byte has ended between two frames.",
    );
}

/// Has your decoder count the frames of a long stream. How much processor time it takes.
#[track_caller]
fn count(what: &str, flags: &[&str], input: &[u8], expected: u32, hint: &str) {
    let dir = temp_dir();
    let input = File::open(dir.write("input", input)).expect("just written");
    let program =
        exercise!().args(["1000000", "--count"]).args(flags).stdin(input).start();
    // Processor time, and not the clock: other programs may use the machine.
    let mut used = Duration::ZERO;
    try_eventually(Duration::from_secs(20), || {
        used = used.max(cpu_time(program.pid()));
        (program.output_ended() || used > MOST).then_some(())
    });
    assert!(
        program.output_ended() && used <= MOST,
        "{what} should take a fraction of a second of processor time, and at most {MOST:?}; \
         your program has used {used:?}. {hint}",
    );
    let said = program.stdout();
    assert!(
        said == format!("{expected} frames\n{WHOLE}"),
        "{what} should give {expected} frames, and be whole. Your program says:\n{}\n{}",
        start_of(&said),
        program.stderr()
    );
}

#[test]
fn long_streams_are_decoded_quickly() {
    const COUNT: usize = 300_000;
    let piece = frame("hi").escape_ascii().to_string().repeat(COUNT);
    count(
        "300,000 short frames in one piece",
        &[],
        piece.as_bytes(),
        COUNT as u32,
        "How often is each byte moved? To remove bytes from the front of a Vec moves all bytes \
         behind them: here up to 300,000 times.",
    );
    count(
        "a frame of a million bytes in pieces of one byte",
        &["--bytes"],
        &frame("x".repeat(1_000_000)),
        1,
        "How often is each byte looked at, or copied? It should not be once for every piece.",
    );
}
