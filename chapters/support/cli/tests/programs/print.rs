//! Prints lines; started by `tests/output.rs`.

use std::{io, process::ExitCode, time::Instant};

use cli::{LogLimit, complain, log, say, unexpected};

fn main() -> ExitCode {
    cli::run("usage: print say|log|complain|limited COUNT", |mut arguments| {
        let kind = arguments.word()?.unwrap_or_default();
        let limit = LogLimit::new();
        if !["say", "log", "complain", "limited"].contains(&&*kind) {
            return Err(unexpected(&kind));
        }
        for number in 0..arguments.number("COUNT", 0, u32::MAX)? {
            let line = format!("line {number:095}");
            match kind.as_str() {
                "say" => say(line),
                "log" => log(line),
                "complain" => complain(line),
                _ => limit.complain(Instant::now(), line),
            }
        }
        if kind == "log" {
            complain("all is logged");
            io::stdin().read_line(&mut String::new())?;
            log("the last line");
        }
        Ok(ExitCode::SUCCESS)
    })
}
