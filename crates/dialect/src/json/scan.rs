//! One pass over a whole JSON document: is it valid, and where are a few members?
//!
//! First step of every `inbound`. Checks all of RFC 8259 (read 2026-11-22): grammar,
//! UTF-8, control characters, numbers, and a nesting limit, without recursion and
//! without allocating. UTF-8 is checked by a vectorised validator over the whole body;
//! long strings are skipped by [`skip_plain`].

use std::ops::Range;

use super::error::{Reason, ScanError};
use super::strings::skip_plain;

/// Deepest nesting of arrays and objects. One less than the recursion limit of
/// `serde_json` (128, at which it refuses), so that whatever passes here can be decoded; real
/// requests, JSON Schemas included, stay below 30.
pub const DEPTH_MAX: usize = 127;

/// Checks a document of any kind.
///
/// # Errors
/// See [`Reason`]; never [`Reason::ExpectedObject`] or [`Reason::Duplicate`].
pub fn validate(body: &[u8]) -> Result<(), ScanError> {
    let document = |scanner: &mut Scanner<'_>| {
        scanner.begin()?;
        scanner.value(0)?;
        scanner.end()
    };
    document(&mut Scanner { text: body, at: 0 }).map_err(|fault| fault.locate(body))
}

/// Checks a whole document that must be an object, and tells where the values of its
/// top-level members `wanted` stand (strings with their quotes; no white space around).
/// Keys are compared after unescaping: `"mod\u0065l"` is `model`.
///
/// ```
/// let body = br#"{"stream": true, "model": "small"}"#;
/// let [model, seed] = dialect::json::members(body, ["model", "seed"])?;
/// assert_eq!(&body[model.unwrap()], br#""small""#);
/// assert_eq!(seed, None);
/// # Ok::<(), dialect::json::ScanError>(())
/// ```
///
/// # Errors
/// See [`Reason`].
pub fn members<const N: usize>(
    body: &[u8],
    wanted: [&str; N],
) -> Result<[Option<Range<usize>>; N], ScanError> {
    let mut scanner = Scanner { text: body, at: 0 };
    scanner.object(wanted).map_err(|fault| fault.locate(body))
}

/// A fault before its line and column are counted.
struct Fault {
    offset: usize,
    reason: Reason,
}

impl Fault {
    #[cold]
    fn locate(self, body: &[u8]) -> ScanError {
        let before = body.get(..self.offset).unwrap_or(body);
        let line = 1 + memchr::memchr_iter(b'\n', before).count();
        let column = 1 + before.len() - memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        ScanError { offset: before.len(), line, column, reason: self.reason }
    }
}

struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

/// The open arrays and objects, one bit each (set: object), so that the depth limit is
/// also the bound of the memory.
struct Nesting {
    kinds: u128,
    depth: usize,
}

const _: () = assert!(DEPTH_MAX <= u128::BITS as usize, "one bit per level");

impl Scanner<'_> {
    /// Checks the text's encoding and skips to the document.
    fn begin(&mut self) -> Result<(), Fault> {
        // `basic` is the fast validator; only `compat` knows where the fault is.
        if simdutf8::basic::from_utf8(self.text).is_err()
            && let Err(error) = simdutf8::compat::from_utf8(self.text)
        {
            return Err(Fault { offset: error.valid_up_to(), reason: Reason::InvalidUtf8 });
        }
        match self.peek() {
            Some(_) => Ok(()),
            None => Err(Fault { offset: 0, reason: Reason::Empty }),
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.fault(Reason::TrailingCharacters)),
        }
    }

    fn object<const N: usize>(&mut self, wanted: [&str; N]) -> Result<[Option<Range<usize>>; N], Fault> {
        let mut found = [const { None }; N];
        self.begin()?;
        self.expect(b'{', Reason::ExpectedObject)?;
        if self.peek() == Some(b'}') {
            self.at += 1;
            return self.end().map(|()| found);
        }
        loop {
            let key = self.key()?;
            let key_at = key.start;
            let place = find(&self.text[key], &wanted);
            self.peek();
            let start = self.at;
            self.value(1)?;
            if let Some(place) = place
                && found[place].replace(start..self.at).is_some()
            {
                return Err(Fault { offset: key_at, reason: Reason::Duplicate(wanted[place].to_owned()) });
            }
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break self.at += 1,
                _ => return Err(self.fault(Reason::ExpectedCommaOrBrace)),
            }
        }
        self.end().map(|()| found)
    }

    /// Passes one value of any kind that stands `depth` levels deep.
    fn value(&mut self, depth: usize) -> Result<(), Fault> {
        let mut open = Nesting { kinds: 0, depth };
        loop {
            let begun = match self.peek() {
                Some(b'"') => self.string().map(|()| false),
                Some(b'{') => self.open(&mut open, true),
                Some(b'[') => self.open(&mut open, false),
                Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
                Some(b't') => self.literal(b"true").map(|()| false),
                Some(b'f') => self.literal(b"false").map(|()| false),
                Some(b'n') => self.literal(b"null").map(|()| false),
                _ => Err(self.fault(Reason::ExpectedValue)),
            }?;
            // `begun`: a container's first value is next. Otherwise a value just ended,
            // and with it perhaps the containers around it.
            if !begun && self.close(&mut open, depth)? {
                return Ok(());
            }
        }
    }

    /// Enters an array or object; `false` if it is empty and so already passed.
    fn open(&mut self, open: &mut Nesting, object: bool) -> Result<bool, Fault> {
        if open.depth == DEPTH_MAX {
            return Err(self.fault(Reason::TooDeep));
        }
        self.at += 1;
        if self.peek() == Some(if object { b'}' } else { b']' }) {
            self.at += 1;
            return Ok(false);
        }
        open.depth += 1;
        open.kinds = open.kinds << 1 | u128::from(object);
        if object {
            self.key()?;
        }
        Ok(true)
    }

    /// After a value: passes closing brackets and one comma (with the next key); `true`
    /// once all containers opened above `depth` are closed.
    fn close(&mut self, open: &mut Nesting, depth: usize) -> Result<bool, Fault> {
        while open.depth > depth {
            let object = open.kinds & 1 == 1;
            match (self.peek(), object) {
                (Some(b','), true) => {
                    self.at += 1;
                    return self.key().map(|_| false);
                }
                (Some(b','), false) => {
                    self.at += 1;
                    return Ok(false);
                }
                (Some(b'}'), true) | (Some(b']'), false) => {
                    self.at += 1;
                    open.depth -= 1;
                    open.kinds >>= 1;
                }
                (_, true) => return Err(self.fault(Reason::ExpectedCommaOrBrace)),
                (_, false) => return Err(self.fault(Reason::ExpectedCommaOrBracket)),
            }
        }
        Ok(true)
    }

    /// Passes a key and its colon; returns the key's span, quotes included.
    fn key(&mut self) -> Result<Range<usize>, Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.fault(Reason::ExpectedKey));
        }
        let start = self.at;
        self.string()?;
        let span = start..self.at;
        self.expect(b':', Reason::ExpectedColon)?;
        Ok(span)
    }

    /// Passes a string; `at` is on its opening quote.
    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at = skip_plain(self.text, self.at);
            match self.text.get(self.at) {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.fault(Reason::ControlCharacter)),
                None => return Err(self.fault(Reason::UnexpectedEnd)),
            }
        }
        Ok(())
    }

    /// Passes an escape sequence. A lone surrogate is valid by the grammar; only who
    /// needs the text as Unicode must refuse it.
    fn escape(&mut self) -> Result<(), Fault> {
        let length = match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let digits = self.text.get(self.at + 2..).unwrap_or_default();
                let valid = digits.iter().take(4).take_while(|digit| digit.is_ascii_hexdigit()).count();
                if valid < 4 && valid == digits.len() {
                    self.at = self.text.len();
                    return Err(self.fault(Reason::UnexpectedEnd));
                }
                if valid < 4 {
                    return Err(self.fault(Reason::InvalidEscape));
                }
                6
            }
            Some(_) => return Err(self.fault(Reason::InvalidEscape)),
            None => {
                self.at = self.text.len();
                return Err(self.fault(Reason::UnexpectedEnd));
            }
        };
        self.at += length;
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        if self.text.get(self.at) == Some(&b'-') {
            self.at += 1;
        }
        match self.text.get(self.at) {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.text.get(self.at) {
            self.at += 1;
            if let Some(b'+' | b'-') = self.text.get(self.at) {
                self.at += 1;
            }
            self.digits()?;
        }
        // `01`: a digit cannot follow a whole number.
        match self.text.get(self.at) {
            Some(b'0'..=b'9') => Err(self.fault(Reason::InvalidNumber)),
            _ => Ok(()),
        }
    }

    /// Passes one digit or more.
    fn digits(&mut self) -> Result<(), Fault> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.fault(Reason::InvalidNumber)) } else { Ok(()) }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            return Ok(());
        }
        if word.starts_with(&self.text[self.at..]) {
            self.at = self.text.len();
        }
        Err(self.fault(Reason::ExpectedValue))
    }

    fn expect(&mut self, byte: u8, otherwise: Reason) -> Result<(), Fault> {
        if self.peek() != Some(byte) {
            return Err(self.fault(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    /// Skips white space and looks at the byte after it.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at).copied() {
                Some(b' ' | b'\n' | b'\t' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// A fault at the current byte; past the last one, the fault is that the text ended.
    #[cold]
    fn fault(&self, reason: Reason) -> Fault {
        let ended = self.at >= self.text.len();
        Fault { offset: self.at, reason: if ended { Reason::UnexpectedEnd } else { reason } }
    }
}

/// Which of the wanted keys a key (with its quotes) is.
fn find(key: &[u8], wanted: &[&str]) -> Option<usize> {
    /// `\u0061`: the most bytes a key can spend on one of a wanted key's.
    const ESCAPED_BYTES_MAX: usize = 6;
    let inner = key.get(1..key.len() - 1)?;
    // What is written plainly needs no second look, and none wanted has a backslash.
    let plain = wanted.iter().position(|want| want.as_bytes() == inner);
    if plain.is_some() || memchr::memchr(b'\\', inner).is_none() {
        return plain;
    }
    let longest = wanted.iter().map(|want| want.len()).max()?;
    if inner.len() > longest * ESCAPED_BYTES_MAX {
        return None;
    }
    // A key with a lone surrogate does not decode, and equals no wanted one.
    let unescaped: String = serde_json::from_slice(key).ok()?;
    wanted.iter().position(|want| *want == unescaped)
}

#[cfg(test)]
mod tests;
