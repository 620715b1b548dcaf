//! Reads one tool call's JSON object byte by byte, so that its arguments can be passed
//! on while the model still writes them.

use std::mem;

/// What a byte revealed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The call's name is known (and, if they came first, its arguments so far).
    Name(String),
    /// A piece of the arguments.
    Arguments(String),
    /// The object is over.
    End,
    /// This is not a tool call.
    Broken,
}

/// Deepest nesting of arguments: beyond it the call is taken for broken.
pub(super) const MAX_DEPTH: usize = 128;
/// Longest name or key, in bytes.
pub(super) const MAX_WORD_BYTES: usize = 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Before the opening brace.
    Start,
    /// Before a key or the closing brace.
    Key,
    /// In a key.
    InKey,
    /// Between a key and its colon.
    Colon,
    /// Between a colon and its value.
    Value,
    /// In a value.
    InValue,
    /// After a value.
    Comma,
    /// Over.
    Done,
}

/// Reads `{"name": …, "arguments": …}`, keys in any order, unknown keys skipped.
#[derive(Debug)]
pub(super) struct CallScanner {
    at: At,
    /// The key or value being read, as written.
    word: Vec<u8>,
    key: String,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The value is a JSON string: arguments written as text can only be read whole.
    quoted: bool,
    named: bool,
    /// Arguments that came before the name.
    early: Option<String>,
    any_arguments: bool,
}

impl CallScanner {
    pub(super) fn new() -> Self {
        Self {
            at: At::Start,
            word: Vec::new(),
            key: String::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            quoted: false,
            named: false,
            early: None,
            any_arguments: false,
        }
    }

    /// Takes in one byte.
    pub(super) fn push(&mut self, byte: u8, found: &mut Vec<Found>) {
        let blank = byte.is_ascii_whitespace();
        match (self.at, byte) {
            (At::InKey, _) => self.in_key(byte, found),
            (At::InValue, _) => self.in_value(byte, found),
            (At::Start | At::Key | At::Colon | At::Value | At::Comma, _) if blank => {}
            // Some models put a lone call in a list, too.
            (At::Start, b'[' | b',' | b';') => {}
            (At::Start, b'{') | (At::Comma, b',') => self.at = At::Key,
            (At::Key, b'"') => self.at = At::InKey,
            (At::Colon, b':') => self.at = At::Value,
            (At::Value, _) => {
                self.at = At::InValue;
                self.quoted = byte == b'"';
                self.in_value(byte, found);
            }
            (At::Key | At::Comma, b'}') => self.end(found),
            _ => self.broken(found),
        }
    }

    /// Passes on the arguments read so far; called at the end of each piece of text.
    pub(super) fn flush(&mut self, found: &mut Vec<Found>) {
        if self.at == At::InValue && self.is_arguments() && !self.quoted {
            // Never cut inside a character.
            let whole = match std::str::from_utf8(&self.word) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            let rest = self.word.split_off(whole);
            let piece = mem::replace(&mut self.word, rest);
            self.arguments(piece, found);
        }
    }

    fn in_key(&mut self, byte: u8, found: &mut Vec<Found>) {
        if byte == b'"' && !self.escaped {
            let word = mem::take(&mut self.word);
            self.key = String::from_utf8_lossy(&word).into_owned();
            self.at = At::Colon;
            return;
        }
        self.escaped = byte == b'\\' && !self.escaped;
        self.word.push(byte);
        if self.word.len() > MAX_WORD_BYTES {
            self.broken(found);
        }
    }

    fn in_value(&mut self, byte: u8, found: &mut Vec<Found>) {
        if self.in_string {
            self.word.push(byte);
            let closes = byte == b'"' && !self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            if closes {
                self.in_string = false;
                if self.depth == 0 {
                    self.value_ends(found);
                }
            } else if self.key == "name" && self.word.len() > MAX_WORD_BYTES {
                self.broken(found);
            }
            return;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.word.push(byte);
                self.depth -= 1;
                if self.depth == 0 {
                    self.value_ends(found);
                }
                return;
            }
            // The end of a number or a literal is the beginning of what follows it.
            b',' | b'}' | b' ' | b'\n' | b'\r' | b'\t' if self.depth == 0 => {
                self.value_ends(found);
                if self.at == At::Comma {
                    self.push(byte, found);
                }
                return;
            }
            _ => {}
        }
        self.word.push(byte);
        if self.depth > MAX_DEPTH {
            self.broken(found);
        }
    }

    fn value_ends(&mut self, found: &mut Vec<Found>) {
        self.at = At::Comma;
        let word = mem::take(&mut self.word);
        if self.is_arguments() {
            self.any_arguments = true;
            if self.quoted {
                match serde_json::from_slice::<String>(&word) {
                    Ok(text) => self.arguments(text.into_bytes(), found),
                    Err(_) => self.broken(found),
                }
            } else {
                self.arguments(word, found);
            }
        } else if matches!(self.key.as_str(), "name" | "function") && !self.named {
            match serde_json::from_slice::<String>(&word) {
                Ok(name) if !name.is_empty() => {
                    self.named = true;
                    found.push(Found::Name(name));
                    found.extend(self.early.take().map(Found::Arguments));
                }
                _ => self.broken(found),
            }
        }
    }

    fn is_arguments(&self) -> bool {
        matches!(self.key.as_str(), "arguments" | "parameters")
    }

    fn arguments(&mut self, piece: Vec<u8>, found: &mut Vec<Found>) {
        if piece.is_empty() {
            return;
        }
        self.any_arguments = true;
        let piece = String::from_utf8_lossy(&piece).into_owned();
        if self.named {
            found.push(Found::Arguments(piece));
        } else {
            self.early.get_or_insert_default().push_str(&piece);
        }
    }

    fn end(&mut self, found: &mut Vec<Found>) {
        if !self.named {
            return self.broken(found);
        }
        self.at = At::Done;
        if !self.any_arguments {
            found.push(Found::Arguments("{}".to_owned()));
        }
        found.push(Found::End);
    }

    fn broken(&mut self, found: &mut Vec<Found>) {
        self.at = At::Done;
        found.push(Found::Broken);
    }
}
