//! The text of a JSON document, piece by piece: RFC 8259, nested 128 deep at most. Nothing here knows what is read.
use super::JsonError;
use std::borrow::Cow;

/// Objects and lists inside each other.
const MAX_DEPTH: u32 = 128;

type Result<T> = std::result::Result<T, JsonError>;

/// What a value begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    True,
    False,
    Number,
    Text,
    List,
    Object,
}

/// A number as it is written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    Unsigned(u64),
    Negative(i64),
    /// With a fraction or an exponent, or beyond 64 bits.
    Float(f64),
}

pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Lexer<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// Byte that is read next.
    pub fn position(&self) -> usize {
        self.at
    }

    #[cold]
    fn error<T>(&self, message: &str) -> Result<T> {
        let ended = self.at >= self.text.len();
        let message = if ended { format!("EOF while parsing: {message}") } else { message.to_owned() };
        Err(JsonError::new(message, Some(self.at)))
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is no space.
    #[inline(never)]
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Nothing but spaces may follow.
    pub fn end(&mut self) -> Result<()> {
        if self.peek().is_some() { self.error("trailing characters") } else { Ok(()) }
    }

    #[inline(never)]
    pub fn kind(&mut self) -> Result<Kind> {
        Ok(match self.peek() {
            Some(b'n') => Kind::Null,
            Some(b't') => Kind::True,
            Some(b'f') => Kind::False,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b'"') => Kind::Text,
            Some(b'[') => Kind::List,
            Some(b'{') => Kind::Object,
            _ => return self.error("expected a value"),
        })
    }

    /// Reads the word of a [`Kind`] that has one.
    #[inline(never)]
    pub fn word(&mut self, kind: Kind) -> Result<()> {
        let word = match kind {
            Kind::Null => "null",
            Kind::True => "true",
            _ => "false",
        };
        if !self.text[self.at..].starts_with(word) {
            return self.error("expected a value");
        }
        self.at += word.len();
        Ok(())
    }

    /// Goes into an object or a list.
    #[inline(never)]
    pub fn open(&mut self) -> Result<()> {
        if self.depth == MAX_DEPTH {
            return self.error("recursion limit exceeded");
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether another element or key follows, else goes out by `close`; `first`: none was read yet.
    #[inline(never)]
    pub fn follows(&mut self, first: bool, close: u8) -> Result<bool> {
        match self.peek() {
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth -= 1;
                return Ok(false);
            }
            Some(b',') if !first => self.at += 1,
            Some(_) if first => return Ok(true),
            _ => return self.error(if close == b']' { "expected `,` or `]`" } else { "expected `,` or `}`" }),
        }
        if self.peek() == Some(close) { self.error("trailing comma") } else { Ok(true) }
    }

    /// A key and its colon.
    #[inline(never)]
    pub fn key(&mut self) -> Result<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return self.error("key must be a string");
        }
        self.string()
    }

    #[inline(never)]
    pub fn colon(&mut self) -> Result<()> {
        if self.peek() != Some(b':') {
            return self.error("expected `:`");
        }
        self.at += 1;
        Ok(())
    }

    /// The string whose quote is next.
    #[inline(never)]
    pub fn string(&mut self) -> Result<Cow<'a, str>> {
        self.at += 1;
        let mut start = self.at;
        let mut owned = String::new();
        loop {
            match self.byte() {
                Some(b'"') => {
                    let rest = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(if owned.is_empty() { Cow::Borrowed(rest) } else { Cow::Owned(owned + rest) });
                }
                Some(b'\\') => {
                    owned.push_str(&self.text[start..self.at]);
                    self.at += 1;
                    owned.push(self.escape()?);
                    start = self.at;
                }
                Some(0..0x20) => return self.error("control character in a string"),
                Some(_) => self.at += 1,
                None => return self.error("a string"),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self) -> Result<char> {
        let Some(byte) = self.byte() else { return self.error("a string") };
        self.at += 1;
        Ok(match byte {
            b'"' | b'\\' | b'/' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.four_digits()?;
                let code = match first {
                    0xd800..0xdc00 if self.text[self.at..].starts_with("\\u") => {
                        self.at += 2;
                        let second = self.four_digits()?;
                        if !(0xdc00..0xe000).contains(&second) {
                            return self.error("lone surrogate in a string");
                        }
                        0x10000 + ((first - 0xd800) << 10 | (second - 0xdc00))
                    }
                    _ => first,
                };
                match char::from_u32(code) {
                    Some(char) => char,
                    None => return self.error("lone surrogate in a string"),
                }
            }
            _ => return self.error("invalid escape"),
        })
    }

    fn four_digits(&mut self) -> Result<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let Some(digit) = self.byte().and_then(|byte| char::from(byte).to_digit(16)) else { return self.error("invalid escape") };
            code = code << 4 | digit;
            self.at += 1;
        }
        Ok(code)
    }

    fn digits(&mut self) -> Result<()> {
        if !matches!(self.byte(), Some(b'0'..=b'9')) {
            return self.error("invalid number");
        }
        while let Some(b'0'..=b'9') = self.byte() {
            self.at += 1;
        }
        Ok(())
    }

    /// The characters of the number that is next, and whether it is an integer.
    fn number_text(&mut self) -> Result<(&'a str, bool)> {
        let start = self.at;
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        let first = self.at;
        self.digits()?;
        if self.at > first + 1 && self.text.as_bytes()[first] == b'0' {
            return self.error("invalid number");
        }
        let integer_end = self.at;
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.byte() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.byte() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok((&self.text[start..self.at], self.at == integer_end))
    }

    #[inline(never)]
    pub fn number(&mut self) -> Result<Number> {
        let (text, is_integer) = self.number_text()?;
        if is_integer {
            if let Ok(number) = text.parse() {
                return Ok(Number::Unsigned(number));
            }
            if let Ok(number) = text.parse()
                && number != 0
            {
                return Ok(Number::Negative(number));
            }
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(Number::Float(number)),
            _ => self.error("number out of range"),
        }
    }

    /// The number that is next as the nearest f32, which may be another than that of the nearest f64.
    #[inline(never)]
    pub fn number_f32(&mut self) -> Result<f32> {
        match self.number_text()?.0.parse::<f32>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => self.error("number out of range"),
        }
    }

    /// Reads over a value.
    #[inline(never)]
    pub fn skip(&mut self) -> Result<()> {
        // A bit for each open bracket: whether it is an object's.
        let (mut objects, outside) = (0u128, self.depth);
        let mut first = false;
        loop {
            match self.kind()? {
                kind @ (Kind::List | Kind::Object) => {
                    self.open()?;
                    objects = objects << 1 | u128::from(kind == Kind::Object);
                    first = true;
                }
                Kind::Text => drop(self.string()?),
                Kind::Number => drop(self.number()?),
                word => self.word(word)?,
            }
            loop {
                if self.depth == outside {
                    return Ok(());
                }
                let is_object = objects & 1 == 1;
                if self.follows(first, if is_object { b'}' } else { b']' })? {
                    if is_object {
                        self.key()?;
                        self.colon()?;
                    }
                    break;
                }
                objects >>= 1;
                first = false;
            }
            first = false;
        }
    }
}
