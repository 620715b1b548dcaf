//! Bytes of tokens into text: a token may hold half of a character, and the text passed
//! on never does.

/// Puts characters together across tokens.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character whose end has not come: at most three bytes.
    pending: Vec<u8>,
}

impl Utf8 {
    /// Takes in a token's bytes and appends the characters they complete to `text`.
    /// What can never become a character is written as U+FFFD.
    pub(super) fn push(&mut self, bytes: &[u8], text: &mut String) {
        if self.pending.is_empty() {
            let kept = append_valid(bytes, text);
            self.pending.extend_from_slice(kept);
        } else {
            self.pending.extend_from_slice(bytes);
            let all = std::mem::take(&mut self.pending);
            let kept = append_valid(&all, text);
            self.pending.extend_from_slice(kept);
        }
    }

    /// The answer is over: a character cut off in the middle is shown as U+FFFD.
    pub(super) fn finish(&mut self, text: &mut String) {
        if !std::mem::take(&mut self.pending).is_empty() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// Appends what is text, and returns the unfinished character at the end, if any.
fn append_valid<'a>(mut bytes: &'a [u8], text: &mut String) -> &'a [u8] {
    loop {
        match std::str::from_utf8(bytes) {
            Ok(valid) => {
                text.push_str(valid);
                return &[];
            }
            Err(error) => {
                let (valid, rest) = bytes.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                let Some(bad) = error.error_len() else { return rest };
                text.push(char::REPLACEMENT_CHARACTER);
                bytes = &rest[bad..];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assemble(pieces: &[&[u8]]) -> String {
        let (mut utf8, mut text) = (Utf8::default(), String::new());
        for piece in pieces {
            utf8.push(piece, &mut text);
        }
        utf8.finish(&mut text);
        text
    }

    #[test]
    fn every_split_gives_the_same_text() {
        let text = "aé漢🦀\u{10FFFF}z";
        for at in 0..=text.len() {
            let (left, right) = text.as_bytes().split_at(at);
            assert_eq!(assemble(&[left, right]), text);
        }
    }

    #[test]
    fn garbage_and_a_cut_character_are_replaced() {
        assert_eq!(assemble(&[b"a\xFFb"]), "a\u{FFFD}b");
        assert_eq!(assemble(&[b"a\xF0\x9F", b"\xA6"]), "a\u{FFFD}");
        assert_eq!(assemble(&[b"\xF0\x9F", b"b"]), "\u{FFFD}b");
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_equal_the_lossy_whole(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..20),
        ) {
            let slices: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let whole = pieces.concat();
            prop_assert_eq!(assemble(&slices), String::from_utf8_lossy(&whole));
        }
    }
}
