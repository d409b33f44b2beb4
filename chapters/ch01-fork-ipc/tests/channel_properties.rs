//! Properties: whatever the bytes are and however they are cut, the channel returns
//! what a much simpler program would read from all bytes at once.

mod common;

use std::{io::ErrorKind, time::Duration};

use arbtest::{
    arbitrary::{Result, Unstructured},
    arbtest,
};
use ch01_fork_ipc::{Channel, is_internal};
use common::{Got, Script, Step, got};
use serde_json::{Map, Number, Value};

const BUDGET: Duration = Duration::from_millis(1500);

/// The simpler program: it splits all bytes at the newlines and parses each line.
fn expected(bytes: &[u8]) -> Vec<Got> {
    let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
    let tail = lines.pop().expect("split gives at least one");
    let read = |line: &[u8]| {
        let text = String::from_utf8_lossy(line);
        serde_json::from_str(&text).map_or(Got::NotJson, Got::Message)
    };
    let end = if tail.is_empty() { Got::End } else { Got::HalfLine };
    lines.into_iter().map(read).chain([end]).collect()
}

/// Everything that the channel returns, up to its end.
fn all(script: Script) -> Vec<Got> {
    let mut channel = Channel::new(script);
    let mut all = Vec::new();
    loop {
        all.push(got(&mut channel));
        if let Some(Got::End | Got::HalfLine | Got::TooLong) = all.last() {
            return all;
        }
    }
}

/// Bytes: now noise, now something that might be JSON, now JSON; and newlines
/// anywhere.
fn some_bytes(u: &mut Unstructured) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !u.is_empty() && bytes.len() < 4096 {
        match u.int_in_range(0..=5)? {
            0 => bytes.push(u.arbitrary()?),
            1 => bytes.push(*u.choose(b"{}[]\",:0123456789.eE+-tfn\\ \r\n")?),
            2 => bytes.push(b'\n'),
            3 => bytes.extend(some_value(u, 3)?.to_string().into_bytes()),
            4 => bytes.extend_from_slice(b"{\"cmd\":\"NODE_HANDLE\"}\n"),
            _ => bytes.extend(u.arbitrary::<&str>()?.bytes()),
        }
    }
    Ok(bytes)
}

/// Cuts them anywhere, and puts pauses and signals between the pieces.
fn cut(u: &mut Unstructured, mut bytes: &[u8]) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    while !bytes.is_empty() {
        // When no random bytes are left, each choice is the first: that must make
        // progress.
        match u.int_in_range(0..=6)? {
            5 => steps.push(Step::Fails(ErrorKind::WouldBlock)),
            6 => steps.push(Step::Fails(ErrorKind::Interrupted)),
            size => {
                let most = if size > 2 { 4 } else { bytes.len() };
                let (piece, rest) =
                    bytes.split_at(u.int_in_range(1..=most.min(bytes.len()))?);
                steps.push(Step::Bytes(piece.to_vec()));
                bytes = rest;
            }
        }
    }
    Ok(steps)
}

/// Any JSON value, `depth` deep at most.
fn some_value(u: &mut Unstructured, depth: usize) -> Result<Value> {
    let types = if depth == 0 { 5 } else { 7 };
    Ok(match u.int_in_range(0..=types)? {
        0 => Value::Null,
        1 => Value::Bool(u.arbitrary()?),
        2 => Value::from(u.arbitrary::<i64>()?),
        3 => Value::from(u.arbitrary::<u64>()?),
        // JSON has no NaN and no infinity; they become null, as in Node.
        4 => Number::from_f64(u.arbitrary()?).map_or(Value::Null, Value::Number),
        5 => Value::from(u.arbitrary::<String>()?),
        6 => (0..u.int_in_range(0..=3)?)
            .map(|_| some_value(u, depth - 1))
            .collect::<Result<_>>()?,
        _ => {
            let mut map = Map::new();
            for _ in 0..u.int_in_range(0..=3)? {
                map.insert(u.arbitrary()?, some_value(u, depth - 1)?);
            }
            Value::Object(map)
        }
    })
}

#[test]
fn the_same_messages_are_received_however_the_bytes_are_cut() {
    arbtest(|u| {
        let bytes = some_bytes(u)?;
        let steps = cut(u, &bytes)?;
        let seen = all(Script::new(steps.clone()));
        assert_eq!(seen, expected(&bytes), "{bytes:?} in {steps:?}");
        Ok(())
    })
    .budget(BUDGET)
    .size_max(1 << 13);
}

#[test]
fn every_value_arrives_bit_for_bit() {
    arbtest(|u| {
        let values: Vec<Value> =
            (0..3).map(|_| some_value(u, 4)).collect::<Result<_>>()?;
        let mut wire = Channel::new(Vec::new());
        for value in &values {
            wire.send(value).expect("a Vec takes everything");
        }
        let steps = cut(u, &wire.stream().clone())?;
        let expected: Vec<Got> =
            values.iter().cloned().map(Got::Message).chain([Got::End]).collect();
        assert_eq!(all(Script::new(steps)), expected);
        Ok(())
    })
    .budget(BUDGET)
    .size_max(1 << 13);
}

#[test]
fn what_is_internal_is_decided_by_cmd_alone() {
    arbtest(|u| {
        let mut value = some_value(u, 2)?;
        if let Some(object) = value.as_object_mut() {
            let cmd = format!(
                "{}{}",
                u.choose(&["NODE_", "NODE", "", "x", "NODE_\u{0}"])?,
                u.arbitrary::<&str>()?
            );
            object.insert("cmd".to_owned(), Value::from(cmd.clone()));
            let internal = cmd.starts_with("NODE_") && cmd.len() > 5;
            assert_eq!(is_internal(&value), internal, "{value}");
        } else {
            assert!(!is_internal(&value), "{value} has no cmd");
        }
        Ok(())
    });
}
