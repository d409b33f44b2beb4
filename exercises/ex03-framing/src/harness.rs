//! Given: reads the pieces of a stream from standard input, and prints what your decoder makes of
//! them.

use std::io::{self, BufRead, Read};
use std::{env, process};

use crate::solution::{Broken, Decoder};

const USAGE: &str = "\
usage: ex03-framing LIMIT            each line of standard input is a piece, such as one\\ntw or \\xC3
       ex03-framing LIMIT --bytes    each byte of standard input is a piece";

/// Feeds the decoder piece by piece, and asks it for lines after each.
pub fn run() {
    let words: Vec<String> = env::args().skip(1).collect();
    let limit = words.first().and_then(|word| word.parse().ok());
    let stdin = io::stdin().lock();
    let (limit, pieces): (_, Box<dyn Iterator<Item = Vec<u8>>>) =
        match (limit, &words[..]) {
            (Some(limit), [_]) => (
                limit,
                Box::new(stdin.split(b'\n').map_while(Result::ok).map(piece)),
            ),
            (Some(limit), [_, flag]) if flag == "--bytes" => (
                limit,
                Box::new(
                    stdin.bytes().map_while(Result::ok).map(|byte| vec![byte]),
                ),
            ),
            _ => {
                eprintln!("{USAGE}");
                process::exit(2);
            }
        };
    let mut decoder = Decoder::new(limit);
    for (number, piece) in (1..).zip(pieces) {
        decoder.push(&piece);
        print_lines(&mut decoder, number);
    }
    match decoder.end() {
        Ok(()) => println!("end: all is whole"),
        Err(error) => println!("end: {error:?}"),
    }
}

/// Prints all that the decoder has after a piece.
fn print_lines(decoder: &mut Decoder, piece: u32) {
    loop {
        match decoder.next_line() {
            Ok(None) => return,
            Ok(Some(line)) => println!("piece {piece}: {line:?}"),
            // It is about this line only: ask for the next.
            Err(Broken::NotText) => println!("piece {piece}: NotText"),
            Err(error) => return println!("piece {piece}: {error:?}"),
        }
    }
}

/// The bytes that a line of input stands for: `\n`, `\r`, `\t`, `\\` and `\xC3` are one byte each.
fn piece(line: Vec<u8>) -> Vec<u8> {
    let mut line = line.into_iter();
    let mut bytes = Vec::new();
    while let Some(byte) = line.next() {
        let escaped = if byte == b'\\' { line.next() } else { None };
        bytes.push(match escaped {
            None => byte,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'x') => (hex(line.next()) << 4) | hex(line.next()),
            Some(other) => other,
        });
    }
    bytes
}

fn hex(digit: Option<u8>) -> u8 {
    digit.and_then(|it| char::from(it).to_digit(16)).unwrap_or_default() as u8
}
