//! The responses of the chapters' programs.

/// The number behind `pid is ` or `running on `: the process that sent the
/// response.
pub fn pid_in(text: &str) -> Option<i32> {
    let rest = ["pid is ", "running on "]
        .iter()
        .find_map(|prefix| Some(text.split_once(prefix)?.1))?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// The name and the pid in chapter 2's response. `None` unless it is that response,
/// whole, and nothing else.
pub(crate) fn parse_raw_response(bytes: &[u8]) -> Option<(&'static str, i32)> {
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
