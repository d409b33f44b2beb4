//! The answers that the chapters' programs give.

/// The number behind `pid is ` or `running on `: which process has answered.
pub fn pid_in(text: &str) -> Option<i32> {
    let rest = ["pid is ", "running on "].iter().find_map(|mark| {
        let at = text.find(mark)?;
        Some(&text[at + mark.len()..])
    })?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// Who sent chapter 2's reply. `None` unless it is that reply, whole, and nothing else.
pub(crate) fn raw_reply(bytes: &[u8]) -> Option<(&'static str, i32)> {
    let rest = bytes.strip_prefix(b"Request handled with ")?;
    let (name, rest) = ["normal", "special"]
        .iter()
        .find_map(|name| Some((*name, rest.strip_prefix(name.as_bytes())?)))?;
    let digits = rest.strip_prefix(b" priority, running on ")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some((name, std::str::from_utf8(digits).ok()?.parse().ok()?))
}
