//! The arguments of a call: `3<socket:[12]>, {sa_family=AF_INET}, [128 => 16], "a\n"...`

/// An argument, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// `"text"`, unescaped. `is_cut`: strace printed only the first bytes (`"text"...`).
    Text {
        /// The bytes.
        bytes: Vec<u8>,
        /// Whether more bytes follow that strace left out.
        is_cut: bool,
    },
    /// `[a, b]`.
    Array(Vec<Value>),
    /// `{name=value, …}`. A part without a name has an empty one.
    Struct(Vec<(String, Value)>),
    /// All else, as it is printed: `3<socket:[12]>`, `A|B`, `htons(80)`, `NULL`.
    Word(String),
}

impl Value {
    /// The word, or an empty one.
    pub fn word(&self) -> &str {
        match self {
            Value::Word(word) => word,
            _ => "",
        }
    }

    /// The value of a field of a struct.
    pub fn field(&self, name: &str) -> Option<&Value> {
        let Value::Struct(fields) = self else { return None };
        fields.iter().find(|(it, _)| it == name).map(|(_, value)| value)
    }

    /// The values in an array; none, if this is no array.
    pub fn items(&self) -> &[Value] {
        match self {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// The bytes of a text, and whether strace cut it.
    pub fn bytes(&self) -> Option<(&[u8], bool)> {
        match self {
            Value::Text { bytes, is_cut } => Some((bytes, *is_cut)),
            _ => None,
        }
    }

    /// The number that the word begins with.
    pub fn number(&self) -> Option<i64> {
        number(self.word())
    }

    /// The descriptor, and what it refers to, of a word such as `3<socket:[12]>`.
    pub fn fd(&self) -> Option<(i32, Option<&str>)> {
        fd(self.word())
    }
}

/// The number that a text begins with: decimal, `0x` hexadecimal, `0` octal.
pub fn number(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text),
    };
    let end = digits.find(|it: char| !it.is_ascii_alphanumeric());
    let digits = &digits[..end.unwrap_or(digits.len())];
    let value = if let Some(digits) = digits.strip_prefix("0x") {
        // An address can have the highest bit set.
        u64::from_str_radix(digits, 16).ok()? as i64
    } else if digits.len() > 1 && digits.starts_with('0') {
        i64::from_str_radix(digits, 8).ok()?
    } else {
        digits.parse().ok()?
    };
    Some(sign * value)
}

/// A descriptor, and what it refers to: `3<socket:[12]>`, or only `3`.
pub fn fd(text: &str) -> Option<(i32, Option<&str>)> {
    let text = text.trim();
    match text.split_once('<') {
        Some((number, rest)) => {
            let end = rest.rfind('>')?;
            Some((number.parse().ok()?, Some(&rest[..end])))
        }
        None => {
            let is_part = |it: char| it.is_ascii_digit() || it == '-';
            let end = text.find(|it| !is_part(it)).unwrap_or(text.len());
            Some((text[..end].parse().ok()?, None))
        }
    }
}

/// The values in a list of arguments. What cannot be read is a word, so that no text
/// is an error: a line may end in the middle.
pub fn values(text: &str) -> Vec<Value> {
    Parser { text, at: 0 }.list()
}

/// Where a list ends that begins with an opened bracket: the place of the bracket that
/// closes it. Brackets in texts and in the names of files do not count.
pub(super) fn end_of_list(text: &str) -> Option<usize> {
    let mut parser = Parser { text, at: 0 };
    let mut depth = 1;
    while let Some(byte) = parser.byte() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(parser.at);
        }
        if !parser.skip() {
            return None;
        }
    }
    None
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        // Only whole ASCII characters are skipped, but a broken line may be anything.
        self.text.get(self.at..).unwrap_or_default()
    }

    /// Values up to the end of the text, or to a closing bracket, which is skipped.
    fn list(&mut self) -> Vec<Value> {
        let mut values = Vec::new();
        loop {
            match self.byte() {
                None => return values,
                Some(b' ' | b',') => self.at += 1,
                Some(b')' | b']' | b'}') => {
                    self.at += 1;
                    return values;
                }
                Some(_) => values.push(self.value()),
            }
        }
    }

    fn value(&mut self) -> Value {
        match self.byte() {
            Some(b'"') => self.quoted(),
            Some(b'[') => {
                self.at += 1;
                Value::Array(self.list())
            }
            Some(b'{') => {
                self.at += 1;
                Value::Struct(self.fields())
            }
            _ => self.unquoted(),
        }
    }

    fn fields(&mut self) -> Vec<(String, Value)> {
        let mut fields = Vec::new();
        loop {
            match self.byte() {
                None => return fields,
                Some(b' ' | b',') => self.at += 1,
                Some(b')' | b']' | b'}') => {
                    self.at += 1;
                    return fields;
                }
                Some(_) => {
                    let name = self.field_name();
                    fields.push((name, self.value()));
                }
            }
        }
    }

    /// `name=`, but not the `a` of `a == b`.
    fn field_name(&mut self) -> String {
        let rest = self.rest();
        let is_part = |it: char| it.is_ascii_alphanumeric() || it == '_';
        let end = rest.find(|it| !is_part(it)).unwrap_or(rest.len());
        let (name, behind) = rest.split_at(end);
        if !name.is_empty() && behind.starts_with('=') && !behind.starts_with("==")
        {
            self.at += end + 1;
            return name.to_owned();
        }
        String::new()
    }

    fn quoted(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.at += 1;
        while let Some(byte) = self.byte() {
            self.at += 1;
            match byte {
                b'"' => {
                    let is_cut = self.rest().starts_with("...");
                    self.at += if is_cut { 3 } else { 0 };
                    return Value::Text { bytes, is_cut };
                }
                b'\\' => bytes.push(self.escaped()),
                byte => bytes.push(byte),
            }
        }
        // The line ends in the text.
        Value::Text { bytes, is_cut: true }
    }

    /// What follows a backslash: a letter, `x` and two digits, or up to three octal ones.
    fn escaped(&mut self) -> u8 {
        let Some(byte) = self.byte() else { return b'\\' };
        self.at += 1;
        match byte {
            b'n' => b'\n',
            b't' => b'\t',
            b'r' => b'\r',
            b'v' => 0x0b,
            b'f' => 0x0c,
            b'x' => {
                let digits =
                    self.text.get(self.at..self.at + 2).unwrap_or_default();
                self.at += digits.len();
                u8::from_str_radix(digits, 16).unwrap_or(b'?')
            }
            b'0'..=b'7' => {
                let mut value = u32::from(byte - b'0');
                for _ in 0..2 {
                    let Some(digit @ b'0'..=b'7') = self.byte() else { break };
                    value = value * 8 + u32::from(digit - b'0');
                    self.at += 1;
                }
                value as u8
            }
            byte => byte,
        }
    }

    /// A word up to a comma, a closing bracket or a blank. `a => b`, `a == b`, `a && b`
    /// and `1 /* 0.05 s */` are one word.
    fn unquoted(&mut self) -> Value {
        let start = self.at;
        let mut depth = 0;
        while let Some(byte) = self.byte() {
            match byte {
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' if depth == 0 => break,
                b')' | b']' | b'}' => depth -= 1,
                b',' if depth == 0 => break,
                b' ' if depth == 0 => {
                    let rest = self.rest();
                    let joins = [" => ", " == ", " && "];
                    if joins.iter().any(|it| rest.starts_with(it)) {
                        self.at += 4;
                        continue;
                    } else if !rest.starts_with(" /*") {
                        break;
                    }
                }
                _ => {}
            }
            if !self.skip() {
                self.at = self.text.len();
            }
        }
        if self.at == start {
            self.at += 1; // whatever it is, it is not looked at again
        }
        let word = self.text.get(start..self.at.min(self.text.len()));
        Value::Word(word.unwrap_or_default().trim().to_owned())
    }

    /// Skips a byte; or a whole text, a whole `<…>` behind a descriptor, a whole
    /// comment. Returns false if that has no end.
    fn skip(&mut self) -> bool {
        let bytes = self.text.as_bytes();
        let is_behind_digit = self.at > 0 && bytes[self.at - 1].is_ascii_digit();
        let end = match bytes[self.at] {
            b'"' => end_of_text(bytes, self.at),
            // `1<<3` is a number.
            b'<' if is_behind_digit && bytes.get(self.at + 1) != Some(&b'<') => {
                end_of_name(bytes, self.at)
            }
            b'/' if bytes.get(self.at + 1) == Some(&b'*') => {
                self.rest().find("*/").map(|it| self.at + it + 1)
            }
            _ => Some(self.at),
        };
        match end {
            Some(end) => self.at = end + 1,
            None => return false,
        }
        true
    }
}

fn end_of_text(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The end of `<…>`. A name may have such brackets in it: `4</dev/null<char 1:3>>`. And
/// the arrow of `[12->13]` closes none.
pub(super) fn end_of_name(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'<' => depth += 1,
            b'>' if bytes[at - 1] != b'-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8], is_cut: bool) -> Value {
        Value::Text { bytes: bytes.to_vec(), is_cut }
    }

    #[test]
    fn descriptors_have_a_name() {
        let found = values(r"3<socket:[7]>, 4</dev/null<char 1:3>>, 5, -1");
        assert_eq!(found[0].fd(), Some((3, Some("socket:[7]"))));
        assert_eq!(found[1].fd(), Some((4, Some("/dev/null<char 1:3>"))));
        assert_eq!(found[2].fd(), Some((5, None)));
        assert_eq!(found[3].fd(), Some((-1, None)));
        let found = values("3<UNIX-STREAM:[12->13]>, 9</a, b]>");
        assert_eq!(found[0].fd(), Some((3, Some("UNIX-STREAM:[12->13]"))));
        assert_eq!(found[1].fd(), Some((9, Some("/a, b]"))));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn numbers_have_three_bases() {
        let numbers = ["12", "-1", "0x1f", "010", "0", "50000 /* 0.05 s */"];
        let found = numbers.map(number);
        assert_eq!(found, [12, -1, 31, 8, 0, 50_000].map(Some));
        assert_eq!(number("0xffffffffffffffff"), Some(-1));
        assert_eq!((number("NULL"), number("")), (None, None));
    }

    #[test]
    fn texts_are_unescaped() {
        let found = values(r#""a\n\"\\\x41\1012\0", "cut"..., "open"#);
        assert_eq!(found[0], text(b"a\n\"\\AA2\0", false));
        assert_eq!(found[1], text(b"cut", true));
        assert_eq!(found[2], text(b"open", true));
    }

    #[test]
    fn a_struct_has_fields() {
        let found = values(
            r#"{sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, [128 => 16], A|B"#,
        );
        assert_eq!(found[0].field("sin_port").map(Value::word), Some("htons(80)"));
        let address = found[0].field("sin_addr").map(Value::word);
        assert_eq!(address, Some(r#"inet_addr("127.0.0.1")"#));
        assert_eq!(found[1].items(), [Value::Word("128 => 16".to_owned())]);
        assert_eq!(found[2].word(), "A|B");
    }

    #[test]
    fn a_status_is_one_word() {
        let found = values("[{WIFEXITED(s) && WEXITSTATUS(s) == 0}], 0, NULL");
        let status = &found[0].items()[0];
        let word = Value::Word("WIFEXITED(s) && WEXITSTATUS(s) == 0".to_owned());
        assert_eq!(*status, Value::Struct(vec![(String::new(), word)]));
        assert_eq!(found.len(), 3);
    }

    #[test]
    fn a_message_with_descriptors_is_a_tree() {
        let found = values(
            r#"3<socket:[1]>, {msg_name=NULL, msg_iov=[{iov_base="{}\n", iov_len=3}], msg_control=[{cmsg_len=20, cmsg_level=SOL_SOCKET, cmsg_type=SCM_RIGHTS, cmsg_data=[7<socket:[2]>]}], msg_flags=0}, 0"#,
        );
        let message = &found[1];
        let part = &message.field("msg_iov").expect("a field").items()[0];
        assert_eq!(part.field("iov_base"), Some(&text(b"{}\n", false)));
        let control = &message.field("msg_control").expect("a field").items()[0];
        let rights = control.field("cmsg_data").expect("a field").items();
        assert_eq!(rights[0].fd(), Some((7, Some("socket:[2]"))));
    }

    /// A line may end anywhere. No text is a panic, or a loop without end.
    #[test]
    fn every_beginning_of_a_line_is_read() {
        let line = r#"3<a[>, {x=[{y="t\1"..., z=~[A B]}], w={a => b}}, 1 /* s */, 1<<3, é"#;
        for (end, _) in line.char_indices() {
            values(&line[..end]);
            end_of_list(&line[..end]);
        }
        for odd in
            ["]]]", "=", "{=", "<", "3<", "\"", "\\", "/*", "{a=", "\u{2028}<é"]
        {
            values(odd);
            end_of_list(odd);
        }
    }
}
