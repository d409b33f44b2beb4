//! Given: reads the pieces of a stream from standard input, and prints what your
//! decoder makes of them.

use std::io::{self, BufRead, Read};
use std::{env, process};

use crate::solution::{Broken, Decoder};

const USAGE: &str = "\
usage: ex03-framing LIMIT [--bytes] [--count]

Each line of standard input is a piece. In it, \\{5} is the four bytes of the length 5, \\n is
a newline, and \\xC3 is a byte.

  --bytes    each byte of standard input is a piece, as it is
  --count    prints how many frames there were, and not each of them";

/// Gives the decoder piece after piece, and asks it for frames after each.
pub fn run() {
    let words: Vec<String> = env::args().skip(1).collect();
    let (flags, words): (Vec<_>, Vec<_>) =
        words.into_iter().partition(|word| word.starts_with("--"));
    let has = |name: &str| flags.iter().any(|flag| flag == name);
    let limit = words.first().and_then(|word| word.parse().ok());
    let known =
        flags.iter().all(|flag| ["--bytes", "--count"].contains(&flag.as_str()));
    let (Some(limit), true) = (limit, known) else {
        eprintln!("{USAGE}");
        process::exit(2);
    };
    let stdin = io::stdin().lock();
    let pieces: Box<dyn Iterator<Item = Vec<u8>>> = if has("--bytes") {
        Box::new(stdin.bytes().map_while(Result::ok).map(|byte| vec![byte]))
    } else {
        Box::new(stdin.split(b'\n').map_while(Result::ok).map(piece))
    };
    let mut decoder = Decoder::new(limit);
    let mut all = 0;
    for (number, piece) in (1..).zip(pieces) {
        decoder.push(&piece);
        all += take_frames(&mut decoder, number, !has("--count"));
    }
    if has("--count") {
        println!("{all} frames");
    }
    match decoder.end() {
        Ok(()) => println!("end: all is whole"),
        Err(error) => println!("end: {error:?}"),
    }
}

/// Takes all frames that the decoder has after a piece, and counts them.
fn take_frames(decoder: &mut Decoder, piece: u32, print: bool) -> u32 {
    let tell = |what: &str| {
        if print {
            println!("piece {piece}: {what}");
        }
    };
    for count in 0.. {
        match decoder.next_frame() {
            Ok(None) if count == 0 => tell("no frame"),
            Ok(None) => {}
            Ok(Some(text)) => {
                tell(&format!("{text:?}"));
                continue;
            }
            // It is about this frame only: ask for the next.
            Err(Broken::NotText) => {
                tell("NotText");
                continue;
            }
            Err(error) => tell(&format!("{error:?}")),
        }
        return count;
    }
    unreachable!("it counts for ever")
}

/// The bytes that a line of input stands for.
fn piece(line: Vec<u8>) -> Vec<u8> {
    let mut line = line.into_iter();
    let mut bytes = Vec::new();
    while let Some(byte) = line.next() {
        match if byte == b'\\' { line.next() } else { None } {
            None => bytes.push(byte),
            Some(b'n') => bytes.push(b'\n'),
            Some(b'r') => bytes.push(b'\r'),
            Some(b't') => bytes.push(b'\t'),
            Some(b'x') => bytes.push((hex(line.next()) << 4) | hex(line.next())),
            Some(b'{') => bytes.extend(length(&mut line).to_be_bytes()),
            Some(other) => bytes.push(other),
        }
    }
    bytes
}

fn hex(digit: Option<u8>) -> u8 {
    digit.and_then(|it| char::from(it).to_digit(16)).unwrap_or_default() as u8
}

/// The number before the next `}`.
fn length(line: &mut impl Iterator<Item = u8>) -> u32 {
    let digits: Vec<u8> = line.by_ref().take_while(|byte| *byte != b'}').collect();
    String::from_utf8_lossy(&digits).parse().unwrap_or_default()
}
