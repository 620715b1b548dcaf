//! Reads one call whose name stands before its arguments, as `call:name{…}`.

use super::object::{ObjectScanner, Reached};
use super::scan::{Found, MAX_WORD_BYTES};

/// Words in which some notations say that a call is one of a function.
const KINDS: [&str; 2] = ["call:", "function"];

/// Reads a name, what stands around it, and a JSON object.
#[derive(Debug, Default)]
pub(super) struct NamedScanner {
    head: Vec<u8>,
    arguments: Option<ObjectScanner>,
}

impl NamedScanner {
    /// Takes in a byte.
    pub(super) fn push(&mut self, byte: u8, found: &mut Vec<Found>) {
        if self.arguments.is_none() {
            match (byte, name(&self.head)) {
                (b'{', Some(name)) => {
                    found.push(Found::Name(name));
                    self.arguments = Some(ObjectScanner::default());
                }
                (b'{', None) => return found.push(Found::Broken),
                _ if self.head.len() >= MAX_WORD_BYTES => return found.push(Found::Broken),
                _ => return self.head.push(byte),
            }
        }
        let Some(arguments) = &mut self.arguments else { return };
        match arguments.push(byte) {
            Reached::More => {}
            Reached::End => {
                found.extend(arguments.take().map(Found::Arguments));
                found.push(Found::End);
            }
            Reached::TooDeep => found.push(Found::Broken),
        }
    }

    /// Passes on the arguments read so far.
    pub(super) fn flush(&mut self, found: &mut Vec<Found>) {
        let arguments = self.arguments.as_mut().and_then(ObjectScanner::take);
        found.extend(arguments.map(Found::Arguments));
    }
}

/// The name in what stands before the arguments, marks and all.
fn name(head: &[u8]) -> Option<String> {
    let head = std::str::from_utf8(head).ok()?.trim();
    let head = head.strip_prefix("<｜tool▁call▁begin｜>").unwrap_or(head);
    let head = KINDS
        .iter()
        .find_map(|kind| {
            let rest = head.strip_prefix(kind)?;
            // A tool may be called `functions`.
            if kind.ends_with(':') { Some(rest) } else { rest.strip_prefix("<｜tool▁sep｜>") }
        })
        .unwrap_or(head);
    let name = head.split(['[', '<', '\n', '`']).next().unwrap_or_default().trim();
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_among_their_marks() {
        for head in [
            "call:f",
            "f[ARGS]",
            "f[CALL_ID]abc[ARGS]",
            "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n",
            "<｜tool▁call▁begin｜>f<｜tool▁sep｜>",
            "\n f ",
        ] {
            assert_eq!(name(head.as_bytes()).as_deref(), Some("f"), "{head}");
        }
        assert_eq!(name("functions[ARGS]".as_bytes()).as_deref(), Some("functions"));
        for head in ["", "[ARGS]", "call:", "\n"] {
            assert_eq!(name(head.as_bytes()), None, "{head}");
        }
    }
}
