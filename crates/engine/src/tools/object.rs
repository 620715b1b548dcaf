//! Follows one JSON object byte by byte to its end, and passes it on as it is written.

use super::scan::MAX_DEPTH;

/// What a byte did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reached {
    /// The object goes on.
    More,
    /// That was its last byte.
    End,
    /// It nests deeper than anything that could be read.
    TooDeep,
}

/// Follows a JSON object from its opening brace on.
#[derive(Debug, Default)]
pub(super) struct ObjectScanner {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Read and not yet passed on.
    word: Vec<u8>,
}

impl ObjectScanner {
    /// Takes in a byte.
    pub(super) fn push(&mut self, byte: u8) -> Reached {
        self.word.push(byte);
        if self.in_string {
            self.in_string = byte != b'"' || self.escaped;
            self.escaped = byte == b'\\' && !self.escaped;
            return Reached::More;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        match self.depth {
            0 => Reached::End,
            depth if depth > MAX_DEPTH => Reached::TooDeep,
            _ => Reached::More,
        }
    }

    /// Nothing has been taken in.
    pub(super) fn is_new(&self) -> bool {
        self.depth == 0 && self.word.is_empty()
    }

    /// What was read since the last time, never cut inside a character.
    pub(super) fn take(&mut self) -> Option<String> {
        let whole = match std::str::from_utf8(&self.word) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let rest = self.word.split_off(whole);
        let text = String::from_utf8(std::mem::replace(&mut self.word, rest)).ok()?;
        (!text.is_empty()).then_some(text)
    }
}
