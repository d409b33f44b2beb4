//! Prints the events of a file that strace has written, one line of JSON each.

use std::env;
use std::fs;
use std::io;

use lab::model::Model;

fn main() -> io::Result<()> {
    let path = env::args().nth(1).ok_or(io::ErrorKind::InvalidInput)?;
    let mut model = Model::new();
    for line in String::from_utf8_lossy(&fs::read(path)?).lines() {
        model.line(line);
    }
    model.end(0.0);
    for event in model.take_events() {
        println!("{}", serde_json::to_string(&event)?);
    }
    eprintln!("{} lines were not understood", model.odd());
    Ok(())
}
